"""The connection to a Label Studio server, and a local one that `up` starts."""
