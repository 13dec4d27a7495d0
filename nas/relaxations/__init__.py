"""How architecture parameters become the weights of ops: the relaxations of the published methods."""
