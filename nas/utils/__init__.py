"""Errors, file output, generators and seeds that every package uses."""
