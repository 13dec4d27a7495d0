"""The size space of NATS-Bench."""
