"""Masks: COCO's encodings, connected parts, polygons."""
