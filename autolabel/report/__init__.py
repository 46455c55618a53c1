"""report of autolabel."""
