"""Plugins that Hydra finds by their namespace: the sweeper of Optuna and the launcher of Ray."""
