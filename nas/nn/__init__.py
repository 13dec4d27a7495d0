"""Torch modules: ops, edges, cells and their fused execution, drop path, and counts of parameters and MACs."""
