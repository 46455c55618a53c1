"""commands of autolabel."""
