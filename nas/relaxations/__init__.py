"""Relaxations: distributions over architectures, from which the weights of ops are sampled."""
