"""Left out of the keys."""

LAYOUT = 1
