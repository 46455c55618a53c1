"""commands of labelstudio."""
