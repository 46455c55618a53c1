"""teachers sam of models."""
