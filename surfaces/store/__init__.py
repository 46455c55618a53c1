"""store of surfaces."""
