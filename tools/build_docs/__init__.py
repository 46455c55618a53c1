"""Builds what is generated in the documents: tables, figures and the commands' reference, from docs/results."""
