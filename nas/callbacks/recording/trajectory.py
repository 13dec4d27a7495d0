"""Plot of the trajectory of a pruning search through its scores."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from nas.plotting.trajectory import save_trajectory
from nas.searches.pruning.search import PruningSearch


class Trajectory(pl.Callback):
    """Plot the first score against the second after each round, as trajectory.svg and trajectory.png."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero and isinstance(pl_module, PruningSearch) and pl_module.trajectory:
            names = [proxy.name for proxy in pl_module.proxies][:2]
            save_trajectory(pl_module.trajectory, names, self.directory)
