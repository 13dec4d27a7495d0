"""Black-box search: strategies that receive only the value of a genotype, and evaluators that provide it."""
