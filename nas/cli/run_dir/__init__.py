"""Run directories: their files, checkpoints, logs, loggers and summaries, and their resume."""
