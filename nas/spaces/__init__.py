"""Search spaces: cells, supernets, networks and notations, one package per space."""
