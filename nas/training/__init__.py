"""Training of a single network from scratch: Lightning module, learning-rate schedules, parameter groups."""
