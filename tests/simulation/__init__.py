"""A town of coffee machines in one process: real server parts and real agents, in virtual time, with faults.

Everything of one run is drawn from one seed. Only cables, clocks, disks, machines, people and the bank are
stand-ins; after each run `promise` checks that no payment is lost and no command has moved a machine twice.
"""
