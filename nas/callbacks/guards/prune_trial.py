"""Early end of the trials of a hyperparameter study."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytorch_lightning as pl

from nas.utils.errors import NasError, TrialPruned

MONITORED = ("val/accuracy", "val/perplexity", "test/accuracy", "test/perplexity", "query/best")
"""Metrics that are reported by default; the first one that is available. The last one is of black-box searches."""


class PruneTrial(pl.Callback):
    """Report the monitored metric after each epoch that has measured it, and end the run if its trial is pruned.

    Args:
        report: function of the number of completed epochs and the value; it returns whether the trial is pruned.
        monitor: metric to report; None is the validated accuracy or perplexity, or the best value of the queries.

    Raises:
        TrialPruned: from the end of an epoch, on all ranks.
        NasError: if the run does not log ``monitor``.
    """

    def __init__(self, report: Callable[[int, float], bool], monitor: str | None = None) -> None:
        self.report = report
        self.monitor = monitor

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        name = self._find(trainer)
        if name is None:
            return
        value, epochs = float(trainer.callback_metrics[name]), trainer.current_epoch + 1
        pruned = trainer.is_global_zero and math.isfinite(value) and self.report(epochs, value)
        pruned = pruned and epochs != trainer.max_epochs  # nothing is saved after the last epoch
        if trainer.strategy.reduce_boolean_decision(pruned, all=False):
            raise TrialPruned(f"after epoch {epochs} with {name}={value:.4g}")

    def _find(self, trainer: pl.Trainer) -> str | None:
        """Return the name of the metric, None if this epoch has not measured it."""
        logged = trainer.callback_metrics
        if self.monitor is None:
            return next((name for name in MONITORED if name in logged), None)
        validated = [name for name in logged if name.startswith(("val/", "test/", "query/"))]
        if self.monitor not in logged and validated:
            raise NasError(
                f"hydra.sweeper.monitor={self.monitor}: the run does not log it. It logs {', '.join(sorted(logged))}."
            )
        return self.monitor if self.monitor in logged else None
