"""The project's documents. `docs.made` writes what is generated in them; nothing here is installed."""
