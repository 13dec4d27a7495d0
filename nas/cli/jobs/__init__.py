"""Jobs of the two programs: search, ranking by a proxy, training, evaluation and export."""
