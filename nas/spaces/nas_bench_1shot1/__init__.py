"""The three subspaces of NAS-Bench-101 with a supernet: NAS-Bench-1Shot1 (Zela et al., ICLR 2020)."""
