"""Out: submissions and figures."""
