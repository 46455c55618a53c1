"""segmenting of surfaces."""
