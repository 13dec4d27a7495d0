"""Searches: LightningModules that produce genotypes."""
