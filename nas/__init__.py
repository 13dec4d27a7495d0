"""Neural architecture search, composed from parts."""

__version__ = "0.1.0"
