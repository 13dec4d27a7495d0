"""Overrides of the command line: parsing, completion from earlier runs, and composition of the configuration."""
