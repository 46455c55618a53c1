"""Lies here so that tests in `rules` can import the helpers of this folder, whichever of them runs alone."""
