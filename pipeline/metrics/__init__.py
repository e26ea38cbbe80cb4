"""How good predictions are: RMSE, distances in several units, OKS-AP, and bootstrap intervals over groups of samples."""
