"""Out: submissions, figures and the report."""
