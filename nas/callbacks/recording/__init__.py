"""Callbacks that write files, plots and timings."""
