"""Text data sets for language models: corpora, chunks of text and their data modules."""
