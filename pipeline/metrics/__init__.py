"""How good predictions are: root mean squared errors, and bootstrap intervals over groups of samples."""
