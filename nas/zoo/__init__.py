"""Published architectures by name, with their published figures."""
