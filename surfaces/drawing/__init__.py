"""drawing of surfaces."""
