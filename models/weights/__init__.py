"""The shipped weights, the registry of official checkpoints, and their download."""
