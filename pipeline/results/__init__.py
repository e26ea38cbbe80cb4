"""Output: predictions, submissions, figures and the report."""

from pipeline import environment

# Before any module of this package imports it.
environment.import_matplotlib()
