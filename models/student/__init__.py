"""The network that is trained, in torch: an encoder, a semantic branch, and heads for dining tables."""
