"""Gradients of the validation loss with respect to the architecture parameters."""
