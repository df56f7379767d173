"""Network architectures: plain modules from normalised images to logits."""
