"""The commands of `python -m labelstudio`, one module each."""
