"""Command ``nas-search count``: parameters and operations of a network."""
