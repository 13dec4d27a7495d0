"""Search for a Pareto front: objectives, dominance, hypervolume, and the choice of one genotype."""
