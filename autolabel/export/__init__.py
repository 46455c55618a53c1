"""Exports labels: which photos and segments, under which names, in which format."""
