"""What happens to a trained network: its file, loading it again, measuring it, exporting it."""
