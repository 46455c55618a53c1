"""Zero-shot and self-trained teachers that label photos: `base` has the protocol, a module each the teachers."""
