"""Search by pruning a supernet without training it (TE-NAS)."""
