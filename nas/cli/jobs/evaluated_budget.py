"""Limits of the search of an evaluated network, beside its costs and its measured latency."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from nas.cli.budget import LATENCY
from nas.cli.run_dir.figures import budget_figures
from nas.deploy.evaluation import EvaluationReport
from nas.deploy.latency import Latency
from nas.deploy.resolve import ResolvedModel
from nas.spaces.genotype_budget import read_budget
from nas.spaces.genotype_file import load_genotype
from nas.utils.errors import NasError

FLOAT32 = ("32", "32-true")
"""Precisions of the measurements in a table of latencies."""


def evaluated_budget(
    cfg: DictConfig,
    resolved: ResolvedModel,
    counted: Mapping[str, Any],
    report: EvaluationReport,
    device: torch.device,
) -> dict[str, Any]:
    """Return the entry ``budget`` of summary.json, empty for a network whose search had no limits.

    The latency is compared if the evaluation has measured it as the table of the search: in PyTorch and float32, on the
    same kind of device, with the same number of images per pass.

    Args:
        cfg: configuration of the evaluation.
        resolved: the evaluated network.
        counted: its parameters and multiply-adds.
        report: its measured latencies.
        device: device of the measurement.
    """
    source = _source(cfg, resolved)
    if source is None:
        return {}
    figures = budget_figures(source, counted).get("budget", {})
    latency = read_budget(source).get(LATENCY)
    precise = str(cfg.trainer.precision) in FLOAT32
    if latency is not None and latency.get("device") == device.type and precise:
        measured = _measured(latency, (report.single, report.batched))
        if measured is not None:
            figures[LATENCY] = {**latency, "value": 1e3 * measured, "predicted": latency["value"]}
    return {"budget": figures} if figures else {}


def _measured(latency: Mapping[str, Any], passes: Iterable[Latency]) -> float | None:
    """Return the seconds of a pass over as many images as the table has, None without such passes."""
    same = next((one for one in passes if one.batch == latency.get("batch")), None)
    return None if same is None else same.low if latency.get("statistic") == "low" else same.median


def _source(cfg: DictConfig, resolved: ResolvedModel) -> str | None:
    """Return the run with the limits of a network: that of its weights, or of the option genotype."""
    given = None if OmegaConf.is_missing(cfg, "genotype") else cfg.genotype
    for source in (str(resolved.path.parent), *([] if given is None else [str(given)])):
        try:
            if read_budget(source) and load_genotype(source) == resolved.model.genotype:
                return source
        except NasError:  # a damaged file, which the evaluation does not need
            continue
    return None
