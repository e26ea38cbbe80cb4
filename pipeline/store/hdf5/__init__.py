"""Artifacts: named, described arrays in HDF5 files that are published atomically, and surveyed and verified before they are read."""
