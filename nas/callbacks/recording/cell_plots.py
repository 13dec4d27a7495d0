"""Plots of the current genotype and of the op scores."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl

from nas.callbacks.recording.alphas import ALPHAS_FILE, read_alphas
from nas.callbacks.recording.pictures import log_picture, takes_pictures
from nas.searches.base import Search
from nas.searches.gradient import GradientSearch
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(every=COUNT)
class CellPlots(pl.Callback):
    """Plot the genotype as cell.svg and cell.png every few epochs and at the end.

    Loggers that show pictures receive the plot of each of these epochs. From a gradient search they also receive a
    heat map of the op scores (scores.png) and, at the end, the scores over all epochs (evolution.png).

    Args:
        directory: directory of the files, and of alphas.jsonl with the scores of earlier epochs.
        every: epochs between two plots.
    """

    def __init__(self, directory: str | Path, every: int = 10) -> None:
        self.directory = Path(directory)
        self.every = every

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        number = trainer.current_epoch + 1
        if number != trainer.max_epochs and (number % self.every == 0 or (number == 1 and _shows_pictures(trainer))):
            self._plot(trainer, pl_module, last=False)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._plot(trainer, pl_module, last=True)

    def _plot(self, trainer: pl.Trainer, module: pl.LightningModule, last: bool) -> None:
        if not trainer.is_global_zero or not isinstance(module, Search):
            return
        # imported here, because the import takes a second, which runs without plots save
        from nas.plotting.cell import save_cell

        self.directory.mkdir(parents=True, exist_ok=True)
        _, png = save_cell(module.genotype(), self.directory)
        if not _shows_pictures(trainer):
            return
        epoch = max(trainer.current_epoch - last, 0)  # at the end, the trainer counts the last epoch as finished
        log_picture(trainer, "cell", png, epoch)
        if isinstance(module, GradientSearch):
            self._plot_scores(trainer, module, epoch, last)

    def _plot_scores(self, trainer: pl.Trainer, search: GradientSearch, epoch: int, last: bool) -> None:
        from nas.plotting.evolution import evolution_figure
        from nas.plotting.figure import save_figure
        from nas.plotting.heatmap import heatmap_figure

        heatmap = heatmap_figure(search.relaxation.scores(search.masks), search.space.cells, f"epoch {epoch + 1}")
        save_figure(heatmap, self.directory / "scores.png")
        log_picture(trainer, "scores", self.directory / "scores.png", epoch)
        lines = read_alphas(self.directory / ALPHAS_FILE) if last else []
        if lines:
            epochs, scores = [line["epoch"] for line in lines], [line["scores"] for line in lines]
            save_figure(evolution_figure(epochs, scores, search.space.cells), self.directory / "evolution.png")
            log_picture(trainer, "evolution", self.directory / "evolution.png", epoch)


def _shows_pictures(trainer: pl.Trainer) -> bool:
    return any(map(takes_pictures, trainer.loggers))
