"""NAS-Bench-101 (Ying et al., ICML 2019): accuracies of 423,624 cells on CIFAR-10."""
