"""cli of surfaces."""
