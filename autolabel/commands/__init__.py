"""The commands of `python -m autolabel`, one module each."""
