"""Commands other than search and train: one file each, or a folder with ``command.py``."""
