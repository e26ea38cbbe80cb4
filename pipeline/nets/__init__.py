"""Learning: networks, samples, training, and prediction with one net."""
