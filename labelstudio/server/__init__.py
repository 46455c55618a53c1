"""server of labelstudio."""
