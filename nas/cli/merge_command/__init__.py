"""Command ``nas-search merge``."""
