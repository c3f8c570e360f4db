"""The whole system in real processes under faults: is a payment lost, or a drink made twice?

`python -m tests.chaos --orders N` sells N drinks while processes are killed, cables cut and machines fail,
then checks what came out of the machines against the bank's books. What happens to which order is drawn from
a seed; the moments are those of real processes, so that a seed repeats the faults and not their exact order.
"""
