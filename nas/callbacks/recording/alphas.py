"""Op scores of each epoch of a search: alphas.jsonl."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytorch_lightning as pl
import torch
from torch import Tensor

from nas.callbacks.recording.epoch_lines import EpochLines
from nas.relaxations.distribution import DECIMALS, Distribution, DistributionKind
from nas.searches.gradient import GradientSearch
from nas.utils.atomic_write import to_json
from nas.utils.errors import NasError
from nas.utils.json_lines import decode_object, read_log

ALPHAS_FILE = "alphas.jsonl"


class AlphaHistory(EpochLines):
    """Write the op scores of a gradient search as one line of alphas.jsonl per epoch.

    A line is ``{"epoch": 0, "scores": {"CELL": [[...], ...]}, "distribution": "categorical"}`` with the scores
    [edges, ops] of each cell type: the probabilities of the ops, or their gates. ``distribution`` is the kind of the
    learned distribution over architectures, null if there is none. Dirichlet distributions add their ``concentration``
    [edges, ops]. A resumed search first removes the lines of the epochs that it repeats.

    Args:
        directory: directory of the file.
    """

    def __init__(self, directory: str | Path) -> None:
        super().__init__(Path(directory) / ALPHAS_FILE)

    def content_before(self, epoch: int) -> str:
        return "".join(to_json(line) + "\n" for line in read_alphas(self.path) if line["epoch"] < epoch)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.is_global_zero or not isinstance(pl_module, GradientSearch):
            return
        relaxation, masks = pl_module.relaxation, pl_module.masks
        line: dict[str, Any] = {"epoch": trainer.current_epoch, "scores": _rounded(relaxation.scores(masks))}
        distribution = relaxation.distribution(masks)
        line["distribution"] = None if distribution is None else distribution.kind
        if distribution is not None and distribution.kind == "dirichlet":
            line["concentration"] = _rounded(distribution.parameters)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(to_json(line) + "\n")


def read_alphas(path: Path, needed: int = 0) -> list[dict[str, Any]]:
    """Return the lines of alphas.jsonl, none if the file is missing.

    Raises:
        NasError: if a line is damaged, or one of the first ``needed`` lines is missing.
    """
    return read_log(path, _decode_line, needed=needed)


def _rounded(tables: Mapping[str, Tensor]) -> dict[str, list[list[float]]]:
    return {name: [[round(x, DECIMALS) for x in row] for row in table.tolist()] for name, table in tables.items()}


def recorded_distribution(line: Mapping[str, Any], shape: tuple[int, int]) -> Distribution | None:
    """Return the distribution over architectures with one cell type in a line of alphas.jsonl, None without one.

    Args:
        line: a line of ``read_alphas``.
        shape: edges and ops of the cell type.

    Raises:
        NasError: if the values are not the parameters of one distribution of this shape.
    """
    kind = line.get("distribution")
    if kind is None:
        return None
    try:
        values = line["concentration" if kind == "dirichlet" else "scores"]
        tables = {str(name): torch.tensor(table, dtype=torch.float64) for name, table in values.items()}
        (table,) = tables.values()
        if kind not in get_args(DistributionKind) or not _is_parameter(table, shape):
            raise ValueError("no parameters of a distribution")
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError):
        raise NasError(
            f"{ALPHAS_FILE}: epoch {line['epoch']} has no distribution over {shape[0]} edges and {shape[1]} ops. "
            "Give another run."
        ) from None
    return Distribution(kind, tables)


def _is_parameter(table: Tensor, shape: tuple[int, int]) -> bool:
    return table.shape == shape and bool(table.isfinite().all() and (table >= 0).all() and (table.sum(-1) > 0).all())


def _decode_line(text: str) -> dict[str, Any]:
    line = decode_object(text)
    if type(line["epoch"]) is not int or not isinstance(line["scores"], dict):
        raise ValueError("not a line of op scores")
    return line
