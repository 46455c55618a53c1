"""comparison of autolabel."""
