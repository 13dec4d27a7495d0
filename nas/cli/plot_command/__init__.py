"""Command ``nas-search plot``: a picture of a genotype."""
