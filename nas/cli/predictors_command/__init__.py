"""Command ``nas-search predictors``: learning curves of predictors on a tabular benchmark."""
