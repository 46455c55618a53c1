"""Review in Label Studio: labels are pushed as predictions, corrections are pulled as reviewed labels."""
