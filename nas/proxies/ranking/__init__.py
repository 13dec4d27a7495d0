"""Ranking of the architectures of a space by a zero-cost proxy, compared with a benchmark."""
