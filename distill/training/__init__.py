"""training of distill."""
