"""Conversion between labels and annotations, the review log, and training rounds."""
