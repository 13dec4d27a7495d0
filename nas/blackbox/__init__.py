"""Black-box search: strategies that see only the value of a genotype, and evaluators that provide it."""
