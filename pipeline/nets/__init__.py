"""Learning: networks, training, prediction, evaluation."""
