"""Latency of networks on a device: measured tables of ops, and a predictor for genotypes."""
