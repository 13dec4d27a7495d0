"""Results and artifacts of a run in its loggers."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger

from nas.callbacks.recording.history import HISTORY_FILE, read_history
from nas.cli.run_dir.wandb_run import WandbRun, read_record
from nas.utils.errors import one_line

log = logging.getLogger(__name__)
GENOTYPE_FILES = ("genotype.json", "cell.png")
MODEL_FILES = ("model.pt", "genotype.json")
TIMELINE = ("val/accuracy", "benchmark/valid", "benchmark/test")
TEXT_TIMELINE = ("val/perplexity",)
"""Columns of the table of genotypes, for images and for text."""
FINAL = (
    *("val_accuracy", "test_accuracy", "best_test_accuracy", "test_top5_accuracy", "test_loss", "calibration_error"),
    *("val_perplexity", "test_perplexity", "tokens_per_second"),
    *("value", "queries", "benchmark/valid", "benchmark/test", "parameters", "macs"),
    *("search_seconds", "train_seconds", "step_seconds", "images_per_second", "peak_memory_bytes"),
)
"""Results in TensorBoard's table of hyperparameters, and final metrics of an MLflow run."""


def log_results(loggers: Iterable[Logger], values: Mapping[str, Any], directory: Path) -> None:
    """Log the results of a run to its loggers, and its genotype or its network as an artifact of W&B.

    Args:
        loggers: loggers of the run.
        values: the content of summary.json.
        directory: run directory.
    """
    final = {f"final/{name}": float(values[name]) for name in FINAL if _is_number(values.get(name))}
    for logger in loggers:
        try:
            _log_results(logger, final, values, directory)
        except Exception as error:  # the run is complete at this point
            log.warning("%s: the results were not logged: %s", type(logger).__name__, one_line(error)[:300])


def _log_results(logger: Logger, final: dict[str, float], values: Mapping[str, Any], directory: Path) -> None:
    if isinstance(logger, TensorBoardLogger):
        logger.log_hyperparams(logger.hparams, final)
        logger.save()
    elif isinstance(logger, MLFlowLogger):
        logger.log_metrics(final)
        _log_files_to_mlflow(logger, directory)
    elif isinstance(logger, WandbRun):
        logger.experiment.summary.update(dict(values))
        _log_genotypes(logger, directory)
        _log_artifact(logger, directory, str(values["mode"]))


def use_source(loggers: Iterable[Logger], directory: Path | None, kind: str) -> None:
    """Mark an artifact of an earlier run as the input of this run in W&B's lineage graph.

    The artifact is built again from the files of the run directory. Its name and its files are the same, so W&B
    recognizes it as the version of the earlier run, also if both runs are offline.

    Args:
        loggers: loggers of the run.
        directory: directory of the earlier run. None, or a directory without a W&B run: no input.
        kind: type of the artifact, "genotype" or "model".
    """
    record = None if directory is None else read_record(directory)
    if directory is None or record is None:
        return
    for logger in loggers:
        if not isinstance(logger, WandbRun) or logger.mode == "disabled":
            continue
        files = MODEL_FILES if kind == "model" else GENOTYPE_FILES
        artifact = _artifact(kind, str(record["id"]), directory, files)
        if artifact is not None:
            try:
                # use_artifact does not support offline runs; it makes this call for artifacts of local files
                logger.experiment._log_artifact(artifact, aliases=[], is_user_created=True, use_after_commit=True)
            except Exception as error:  # lineage is no reason to end a run
                log.warning("W&B: the %s of %s is not linked: %s", kind, directory, one_line(error)[:300])


def _log_artifact(logger: WandbRun, directory: Path, mode: str) -> None:
    if logger.mode == "disabled":
        return
    run, artifact = logger.experiment, None
    if mode == "search":
        artifact = _artifact("genotype", run.id, directory, GENOTYPE_FILES)
    elif mode == "train" and logger.logs_network:
        artifact = _artifact("model", run.id, directory, MODEL_FILES)
    if artifact is not None:
        run.log_artifact(artifact)


def _log_genotypes(logger: WandbRun, directory: Path) -> None:
    """Log the genotype of each epoch of a search as a table, with its accuracies."""
    import wandb

    lines = read_history(directory / HISTORY_FILE)
    text = any(name in line for line in lines for name in TEXT_TIMELINE)
    columns = ("epoch", "genotype", *(TEXT_TIMELINE if text else TIMELINE))
    rows = [[line.get(name) for name in columns] for line in lines]
    if rows and logger.mode != "disabled":
        logger.experiment.log({"genotypes": wandb.Table(columns=list(columns), data=rows)})


def _artifact(kind: str, run_id: str, directory: Path, names: Sequence[str]) -> Any:
    """Return an artifact of the files that exist, None if there are none."""
    import wandb

    files = [path for path in (directory / name for name in names) if path.is_file()]
    if not files:
        return None
    artifact = wandb.Artifact(f"{kind}-{run_id}", type=kind)
    for path in files:
        artifact.add_file(str(path), policy="immutable")  # no copy in the home directory
    return artifact


def _log_files_to_mlflow(logger: MLFlowLogger, directory: Path) -> None:
    for name in dict.fromkeys((*GENOTYPE_FILES, *MODEL_FILES, "summary.json")):
        if (directory / name).is_file() and logger.run_id is not None:
            logger.experiment.log_artifact(logger.run_id, str(directory / name))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
