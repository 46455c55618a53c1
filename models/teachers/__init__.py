"""teachers of models."""
