"""Programs search and train: the modules that Hydra runs jobs of."""
