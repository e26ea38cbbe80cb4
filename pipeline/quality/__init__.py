"""Labels that may be wrong: what speaks against each of them, how likely it is wrong, and why."""
