"""Edges of a cell: modules that mix the candidate ops, as the published methods define them."""
