"""Label files with corrected values: only the corrected values are replaced, and every other byte stays as it is.

A module for each kind of text finds where the values of an instance are in the texts of its formats.
"""
