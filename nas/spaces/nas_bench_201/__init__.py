"""The topology space of NAS-Bench-201."""
