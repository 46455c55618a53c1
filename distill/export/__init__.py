"""export of distill."""
