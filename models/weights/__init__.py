"""weights of models."""
