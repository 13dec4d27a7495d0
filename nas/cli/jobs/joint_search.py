"""Conditions for searches with several seeds to execute their steps together."""

from __future__ import annotations

import torch
from omegaconf import DictConfig, OmegaConf

from nas.architecture.cell import Architecture, EdgeWeights
from nas.callbacks.schedules.anneal import Anneal
from nas.cli.jobs.search import build
from nas.gradients.clipped import Clipped
from nas.gradients.first_order import FirstOrder
from nas.nn.stacked import check_stacked
from nas.searches.base import Search
from nas.searches.gradient import GradientSearch
from nas.searches.step_macs import sample_active
from nas.utils.errors import NasError

SWITCHES = ("compile", "channels_last", "fold_weights", "cuda_graphs", "activation_checkpointing")
"""Options that stacked supernets do not support."""
CALLBACKS = (
    *("channels_last.ChannelsLast", "fold_weights.FoldWeights", "compile.CompileEdges", "cuda_graphs.CudaGraphs"),
    *("recording.alphas.AlphaHistory", "recording.curves.Curves", "guards.rank_consistency.RankConsistency"),
    *("guards.non_finite.StopOnNonFinite", "guards.collapse.SkipCollapse", "guards.collapse.EntropyCollapse"),
    *("recording.benchmark.BenchmarkAccuracy", "recording.history.History", "recording.cell_plots.CellPlots"),
    "guards.cpu_budget.CpuBudget",
    *("recording.step_timer.StepTimer", "recording.memory.MemoryEstimate", "recording.checkpoint.Checkpoint"),
)
"""Callbacks that neither change the supernet nor execute it in training steps."""


def find_obstacle(cfg: DictConfig) -> str | None:
    """Return the reason why searches of this configuration have no common steps, None if they have.

    Raises:
        NasError: if the search cannot be built.
    """
    switched = [f"{option}=true" for option in SWITCHES if cfg.get(option) is True]
    if cfg.dataset.get("batch_size") == "auto":
        switched.append("dataset.batch_size=auto")
    minutes = OmegaConf.select(cfg, "callbacks.cpu_budget.minutes")
    switched += ["cpu_minutes"] if minutes is not None else []  # the CPU time of one search is unknown
    switched += [f"logger.{name}" for name in cfg.get("logger") or () if name != "csv"]
    switched += ["trainer.profiler"] if cfg.trainer.get("profiler") is not None else []
    allowed = [f"nas.callbacks.{name}" for name in CALLBACKS]
    switched += [f"callbacks.{name}" for name, part in cfg.callbacks.items() if part and part._target_ not in allowed]
    if switched:
        return f"common steps do not support {switched[0]}"
    _, search = build(cfg)
    return _obstacle_of(search)


def _obstacle_of(search: Search) -> str | None:
    method = f"method={search.name}"
    if type(search) is not GradientSearch:
        return f"{method} takes no gradient steps on a supernet"
    if search.space.inputs != "images":
        return f"common steps do not support {search.space.inputs}"
    weights, arch = search.weight_step, search.arch_step
    if search.images_per_pass is not None:
        return "common steps take a single pass"
    for callback in search.callbacks:
        if not (isinstance(callback, Anneal) and callback.path.startswith(("relaxation.", "arch_step."))):
            return f"{method} has the callback {type(callback).__name__}"
    if weights.perturbation is not None:
        return f"{method} perturbs architectures"
    if weights.alignment is not None:
        return f"{method} aligns the gradients of cells"
    if type(getattr(arch.gradient, "gradient", arch.gradient)) is not FirstOrder or not _is_plain(arch.gradient):
        return f"{method} does not use the first-order architecture gradient"
    if arch.reward is not None or not arch.per_batch:
        return f"{method} does not update the architecture on the loss of each batch"
    active = sample_active(search)
    if any(rows != search.masks.lists(name) for name, rows in active.items()):
        return f"{method} samples ops, which differ between seeds"
    try:
        check_stacked(lambda: search.space.supernet(search.edge), search.space.shape, _random_architectures(search))
    except NasError as error:
        return str(error)
    return None


def _is_plain(gradient: object) -> bool:
    return isinstance(gradient, FirstOrder | Clipped)


def _random_architectures(search: GradientSearch, count: int = 2) -> list[Architecture]:
    """Return architectures with random weights of the shapes that the relaxation samples."""
    with torch.no_grad():
        sample = search.relaxation.sample_for_weights(search.masks)
    return [
        {
            name: EdgeWeights(
                torch.rand_like(row.op), row.active, None if row.edge is None else torch.rand_like(row.edge)
            )
            for name, row in sample.items()
        }
        for _ in range(count)
    ]
