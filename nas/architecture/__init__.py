"""Cells, genotypes, masks, and the discretization of scores to a genotype."""
