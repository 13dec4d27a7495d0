"""Pictures for the loggers that show them: W&B, TensorBoard and MLflow."""

from __future__ import annotations

from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger


def takes_pictures(logger: Logger) -> bool:
    """Return whether a logger shows pictures."""
    return isinstance(logger, WandbLogger | TensorBoardLogger | MLFlowLogger)


def log_picture(trainer: pl.Trainer, name: str, file: Path, epoch: int) -> None:
    """Log a PNG file of an epoch, counted from 0, to all loggers that show pictures; earlier pictures remain."""
    step = max(trainer.fit_loop.epoch_loop._batches_that_stepped - 1, 0)
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            _log_to_wandb(logger, name, file, epoch, step)
        elif isinstance(logger, TensorBoardLogger):
            _log_to_tensorboard(logger, name, file, step)
        elif isinstance(logger, MLFlowLogger) and logger.run_id is not None:
            folder = f"{name}/epoch_{epoch:04d}"
            logger.experiment.log_artifact(logger.run_id, str(file), folder)


def _log_to_wandb(logger: WandbLogger, name: str, file: Path, epoch: int, step: int) -> None:
    import wandb

    # without the argument step of W&B, which drops the picture if a later step is already logged
    picture = wandb.Image(str(file), caption=f"epoch {epoch + 1}")
    logger.log_metrics({name: picture, "epoch": epoch}, step)  # type: ignore[dict-item]


def _log_to_tensorboard(logger: TensorBoardLogger, name: str, file: Path, step: int) -> None:
    import numpy
    from PIL import Image

    with Image.open(file) as picture:
        pixels = numpy.asarray(picture.convert("RGB"))
    logger.experiment.add_image(name, pixels, step, dataformats="HWC")
