"""A score of every architecture of a space, and how well it ranks them."""
