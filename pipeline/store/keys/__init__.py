"""Keys: the hash of everything that an artifact is made from, fingerprints of the code, and adoptions of artifacts by other keys."""
