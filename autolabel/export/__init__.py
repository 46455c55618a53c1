"""export of autolabel."""
