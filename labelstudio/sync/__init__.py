"""sync of labelstudio."""
