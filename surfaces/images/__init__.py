"""images of surfaces."""
