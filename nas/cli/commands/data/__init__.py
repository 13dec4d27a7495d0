"""Command ``nas-search data``: a catalog of data sets and benchmark tables, their state and download."""
