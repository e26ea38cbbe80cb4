"""What may be removed from a workspace: files that nothing needs, files in use by running processes, and remains of dead processes."""
