"""Fault injection: a run of the chain is killed, interrupted or starved of disk at a chosen point, and run again.

`injected` is the process in which it happens, `trials` what happens to it and what must be true afterwards, `__main__` the long run:
`python -m tests.faults --points 200`.
"""
