"""The report on a label store: statistics, galleries, and the page that shows them."""
