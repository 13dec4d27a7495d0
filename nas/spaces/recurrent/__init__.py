"""The recurrent space of DARTS: cells of language models."""
