"""Rules that turn a teacher's prediction into labels: small named functions, each of which users can switch off."""
