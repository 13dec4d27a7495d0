"""Published architectures by name, with what was reported of them."""
