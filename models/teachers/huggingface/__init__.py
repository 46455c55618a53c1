"""Teachers from the Hugging Face hub: semantic, instance and panoptic checkpoints in transformers' format."""
