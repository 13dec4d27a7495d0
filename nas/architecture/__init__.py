"""Cells, genotypes, masks, and the way from scores to a genotype."""
