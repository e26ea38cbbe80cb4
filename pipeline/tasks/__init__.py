"""The stages as Luigi tasks. Only wiring: the work is done in the modules that each `run` imports."""
