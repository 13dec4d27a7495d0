"""Spaces of TransNAS-Bench-101 (Duan et al., CVPR 2021): cells (micro) and skeletons (macro)."""
