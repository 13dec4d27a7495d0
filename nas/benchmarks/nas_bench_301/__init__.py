"""NAS-Bench-301 (Zela et al., ICLR 2022): predicted accuracies of the DARTS space."""
