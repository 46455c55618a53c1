"""Files, object storage and HTTP: whole writes, bounded reads, checked URLs."""
