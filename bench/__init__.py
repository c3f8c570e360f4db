"""Measures the product beside the bare parts that it is made of, on this machine, and prints the ratios.

What is measured runs in processes of its own, on loopback, with everything switched on. Loads are bounded and
end by themselves; nothing outlives the run.
"""
