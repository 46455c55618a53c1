"""Shared by all packages, without torch: classes, photos, masks, datasets, the label store, drawing and metrics."""
