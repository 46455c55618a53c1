"""labelling of autolabel."""
