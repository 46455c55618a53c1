"""Command-line parts: argument types, dispatch of `python -m PACKAGE COMMAND`, escaped output, progress bars."""
