"""Compares auto-labels with people's labels of the same photos."""
