"""Callbacks that detect a search that went wrong."""
