"""evaluation of distill."""
