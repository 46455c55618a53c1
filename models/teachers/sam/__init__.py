"""SAM: masks from box and point prompts."""
