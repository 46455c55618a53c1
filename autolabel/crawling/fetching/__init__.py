"""Requests of a crawl: which host is next, what robots.txt allows, and what each answer becomes."""
