"""Command ``nas-search dashboard``: a saved view of W&B with the panels of searches and trainings."""
