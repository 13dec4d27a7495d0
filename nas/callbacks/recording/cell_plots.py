"""Plots of the current genotype and of the op scores."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import WandbLogger

from nas.plotting.cell import save_cell
from nas.plotting.heatmap import heatmap_figure
from nas.searches.base import Search
from nas.searches.gradient import GradientSearch
from nas.spaces.genotype_file import GENOTYPE_FILE
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(every=COUNT)
class CellPlots(pl.Callback):
    """Plot the genotype as cell.svg and cell.png every few epochs and at the end.

    A W&B logger also receives the plot, a heat map of the op scores and, at the end, the genotype as an artifact.

    Args:
        directory: directory of the files.
        every: epochs between two plots.
    """

    def __init__(self, directory: str | Path, every: int = 10) -> None:
        self.directory = Path(directory)
        self.every = every

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if (trainer.current_epoch + 1) % self.every == 0 and trainer.current_epoch + 1 != trainer.max_epochs:
            self._plot(trainer, pl_module, last=False)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._plot(trainer, pl_module, last=True)

    def _plot(self, trainer: pl.Trainer, module: pl.LightningModule, last: bool) -> None:
        if not trainer.is_global_zero or not isinstance(module, Search):
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        _, png = save_cell(module.genotype(), self.directory)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                self._log(logger, module, png, last)

    def _log(self, logger: WandbLogger, search: Search, png: Path, last: bool) -> None:
        logger.log_image("cell", [str(png)])
        if isinstance(search, GradientSearch):
            figure = heatmap_figure(search.relaxation.scores(search.masks), search.space.cells)
            path = self.directory / "scores.png"
            figure.savefig(path)
            logger.log_image("scores", [str(path)])
        genotype = self.directory / GENOTYPE_FILE
        if last and genotype.exists():
            import wandb

            artifact = wandb.Artifact(f"genotype-{logger.experiment.id}", type="genotype")
            for file in (genotype, png):
                artifact.add_file(str(file))
            logger.experiment.log_artifact(artifact)
