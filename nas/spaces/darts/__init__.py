"""The DARTS space and its relatives: S1 to S4, NASNet, GDAS (FRC)."""
