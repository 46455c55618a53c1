"""The label store: a dataset's labels and their quality scores in one SQLite file."""
