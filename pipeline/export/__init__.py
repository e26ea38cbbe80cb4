"""Trained nets as files for other programs: the whole prediction as one graph, its formats, and the check of what was written."""
