"""Growing a corpus from the web: leads are fetched politely, judged, and kept with their provenance."""
