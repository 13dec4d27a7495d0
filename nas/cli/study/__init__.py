"""Sweeps by Optuna: the study, its trials, its samplers and its results."""
