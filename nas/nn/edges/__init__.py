"""How an edge mixes its candidate ops: the edges of the published methods."""
