"""Command ``nas-search dashboard``: a saved view in W&B with panels of searches and trainings."""
