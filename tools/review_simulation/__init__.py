"""Which review queue is worth most: reviews are simulated with human labels."""
