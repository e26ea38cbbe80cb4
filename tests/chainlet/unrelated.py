"""No stage uses this."""

VALUE = 1
