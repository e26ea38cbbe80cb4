"""Fault injection: a run of the chain is killed, interrupted or deprived of disk space at a chosen point, and run again.

`injected` is the process in which the fault happens, `trials` the faults and the conditions that must hold afterwards, `__main__` the
long run: `python -m tests.faults --points 200`.
"""
