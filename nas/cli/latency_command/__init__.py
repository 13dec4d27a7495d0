"""Command ``nas-search latency``."""
