"""project of labelstudio."""
