"""Stages and their runs: tasks with keys, the guard around `run`, parameters, targets, configuration, interrupts and the summary."""
