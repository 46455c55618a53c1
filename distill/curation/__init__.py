"""Datasets as a whole: writing, mixing, splitting, checking and counting them."""
