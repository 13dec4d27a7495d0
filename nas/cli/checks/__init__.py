"""Checks of the command line and of the composed configuration, before anything is written."""
