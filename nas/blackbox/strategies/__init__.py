"""Search strategies that see nothing of a genotype but its value: ask, evaluate, tell."""
