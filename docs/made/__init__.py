"""`python -m docs.made`: rewrites every generated table and figure of the documents from docs/results.

A table stands in a document between `<!-- made: NAME -->` and `<!-- /made -->`, a figure is docs/images/NAME.svg. What
makes them is entered in `docs.made.catalogue`. With `--check` nothing is written, and what differs is named.
"""
