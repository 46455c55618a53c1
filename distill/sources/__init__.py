"""Datasets of others: how each is read, what its class names mean, its licence, and its import."""
