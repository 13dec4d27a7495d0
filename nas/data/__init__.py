"""Data sets: Lightning data modules that feed image classification from tensors in memory."""
