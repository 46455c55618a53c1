"""teachers grounding_dino of models."""
