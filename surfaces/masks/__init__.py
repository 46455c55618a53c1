"""masks of surfaces."""
