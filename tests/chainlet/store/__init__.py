"""Left out of the keys."""
