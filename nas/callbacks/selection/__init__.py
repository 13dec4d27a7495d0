"""Callbacks that select the genotype or end the search."""
