"""Dataset in, small model out: training, measuring, exporting, and what reviews are worth to it."""
