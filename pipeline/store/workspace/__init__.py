"""The files of a workspace: atomic writes, names, locks, console output and the run log. It knows nothing of artifacts or keys."""
