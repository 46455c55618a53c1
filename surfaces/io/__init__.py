"""io of surfaces."""
