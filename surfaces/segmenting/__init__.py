"""The steps of `segment.py`: sources, one photo's pipeline, names of results."""
