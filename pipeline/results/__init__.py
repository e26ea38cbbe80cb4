"""Output: predictions, submissions, figures and the report."""
