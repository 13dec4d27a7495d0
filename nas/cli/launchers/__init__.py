"""Hydra's launcher for Ray: its options and its jobs."""
