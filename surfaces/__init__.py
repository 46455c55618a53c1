"""The shared vocabulary, free of torch: classes, photos, masks, datasets, drawing, metrics, queues."""
