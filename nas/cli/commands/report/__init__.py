"""Command ``nas-search report``: an offline page about one or several runs."""
