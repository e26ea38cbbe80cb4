"""The cache: artifacts, keys, locks and the run log. It knows nothing of faces or nets."""
