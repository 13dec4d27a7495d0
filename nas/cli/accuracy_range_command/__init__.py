"""Command ``nas-search accuracy-range``."""
