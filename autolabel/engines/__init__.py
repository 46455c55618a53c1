"""Engines that run a labelling job: this process, or Ray's workers on one machine or many."""
