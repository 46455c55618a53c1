"""Which labelled photos are worth a person's minute, most worth first."""
