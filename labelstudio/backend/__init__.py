"""backend of labelstudio."""
