"""A project on the server: its labelling interface, its tasks, and how its photos are hosted."""
