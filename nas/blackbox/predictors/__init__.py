"""Predictors of the value of a genotype from its features, for predictor-guided searches."""
