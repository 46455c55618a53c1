"""Review in Label Studio: doubtful labels go out as predictions, corrections come back as reviewed labels."""
