"""The shared vocabulary, free of torch: classes, images, masks, dataset, overlay, metrics."""
