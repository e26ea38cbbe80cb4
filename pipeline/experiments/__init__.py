"""Many trainings: which ones a file describes, and what became of them. Nothing here knows Luigi, HDF5 or Keras."""
