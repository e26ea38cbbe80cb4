"""Comparisons of many trainings: plans, searches and outcomes. This room knows neither Luigi nor HDF5."""
