"""Two imports away from a stage."""

from chainlet.store import layout as layout

UNIT = 1.0  # a comment
