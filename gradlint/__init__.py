"""gradlint: predicts where the gradients of a PyTorch model will starve or explode, before you train."""

__version__ = "0.1.0"
