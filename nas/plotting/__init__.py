"""Figures of cells, scores, widths, pruning trajectories and confusion matrices."""
