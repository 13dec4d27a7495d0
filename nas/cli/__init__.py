"""The entry points' own layer: the only one that knows Hydra."""
