"""Scores of networks that were never trained."""
