"""Callbacks that change the search from epoch to epoch."""
