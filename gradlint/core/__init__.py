"""Torch-free values that the stages hand on."""
