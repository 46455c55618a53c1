"""commands of distill."""
