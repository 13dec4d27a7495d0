"""The space of NAS-Bench-101 (Ying et al., ICML 2019): directed acyclic graphs with ops on their vertices."""
