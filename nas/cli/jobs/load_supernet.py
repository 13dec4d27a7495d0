"""Evaluator that reuses the supernet of a finished search."""

from __future__ import annotations

from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig

from nas.blackbox.evaluators.supernet import SupernetAccuracy
from nas.cli.build import build_search, build_space, follow_split
from nas.cli.overrides.compose_saved import compose_saved
from nas.cli.overrides.renamed import has_old_names
from nas.cli.overrides.run_record import saved_config
from nas.cli.run_dir.checkpoints import read_checkpoint
from nas.cli.run_dir.layout import last_checkpoint
from nas.cli.run_dir.read_yaml import record_of
from nas.data.kinds import DataSet
from nas.data.text.base import TextData
from nas.nn.edges.mixed import MixedEdge
from nas.searches.base import SupernetSearch
from nas.spaces.base import Space
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, check_ranges
from nas.utils.user_path import user_path


@check_ranges(batches=COUNT, recalibration=COUNT)
def supernet_accuracy(
    space: Space,
    data: DataSet,
    device: torch.device,
    supernet_dir: str | None = None,
    batches: int | None = None,
    recalibration: int | None = None,
) -> SupernetAccuracy:
    """Return the evaluator of the supernet trained by the search in ``supernet_dir``.

    The run is untrusted: its method and space are composed again, from the user's configuration and the overrides of
    the run.

    Args:
        space: space of the present search.
        data: images of the present search.
        device: device of the supernet.
        supernet_dir: run directory of the search that trained the supernet.
        batches: number of validation batches; None uses all.
        recalibration: number of training batches for the statistics of batch norm; None: statistics of the batch.

    Raises:
        NasError: if the directory has no supernet, or one of another space or data set.
    """
    fix = "Set it to the run directory of a search with a supernet (method=one_shot)."
    if supernet_dir is None:
        raise NasError(f"evaluator.supernet_dir=null: {fix}")
    option = f"evaluator.supernet_dir={supernet_dir}"
    directory = user_path(supernet_dir)
    checkpoint = last_checkpoint(directory)
    config = directory / ".hydra" / "config.yaml"
    if checkpoint is None or not config.is_file():
        raise NasError(f"{option}: there is no checkpoints/last.ckpt and .hydra/config.yaml. {fix}")
    if has_old_names(record_of(saved_config(directory), config)):
        raise NasError(f"{option}: it is a run of an earlier version and cannot be rebuilt. Search again.")
    cfg = compose_saved("search", directory)
    if cfg.space.name != space.name:
        raise NasError(f"{option}: its space is '{cfg.space.name}', not '{space.name}'. Set space={cfg.space.name}.")
    dataset = str(cfg.hydra.runtime.choices["dataset"])
    _refuse_other_images(option, dataset, cfg.dataset, data)
    follow_split(data, directory)
    search = build_search(cfg.method, build_space(cfg.space, data))
    if not isinstance(search, SupernetSearch):
        raise NasError(f"{option}: method '{cfg.method.name}' has no supernet. {fix}")
    if _shapes(search, search.space) != _shapes(search, space):
        raise NasError(f"{option}: the space of that run has other layers, widths or ops. Set space.* as in that run.")
    _load_weights(search, checkpoint, f"{option}: its supernet (dataset={dataset})", data)
    return SupernetAccuracy(search, data, device, batches, recalibration)


def _load_weights(search: SupernetSearch, checkpoint: Path, subject: str, data: DataSet) -> None:
    """Load the weights of a checkpoint into the supernet. Raises NasError if they do not fit."""
    state, prefix = read_checkpoint(checkpoint)["state_dict"], "supernet."
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    try:
        search.supernet.load_state_dict(weights)
    except RuntimeError:
        raise NasError(
            f"{subject} does not fit images of {data.name}, or its method changed the cells in stages. Use the data "
            "set of the run and a method with a constant supernet."
        ) from None


def _shapes(search: SupernetSearch, space: Space) -> dict[str, torch.Size]:
    """Return the shapes of the parameters of a supernet with the edges of ``search``."""
    with torch.device("meta"):
        supernet = space.supernet(getattr(search, "edge", MixedEdge))
    return {name: parameter.shape for name, parameter in supernet.named_parameters()}


def _refuse_other_images(option: str, dataset: str, saved: DictConfig, data: DataSet) -> None:
    """Raise NasError if the supernet was trained on other images, or on validation images of the present search."""
    present = HydraConfig.get().runtime.choices["dataset"]
    if dataset != present:
        raise NasError(
            f"{option}: it was trained on dataset={dataset}, this search has {present}. Set dataset={dataset}."
        )
    if isinstance(data, TextData):  # the parts of a text are fixed
        return
    for name in ("mean", "std"):
        given = saved.get(name)
        # a single value applies to all channels
        theirs = tuple(given) if isinstance(given, ListConfig) else (given,) * data.shape[0]
        if given is not None and theirs != getattr(data, name):
            value = f"dataset.{name}={str(list(given) if isinstance(given, ListConfig) else given).replace(' ', '')}"
            raise NasError(f"{option}: it was trained with {value}, this search normalizes otherwise. Set {value}.")
    split = saved.get("split")
    if split is not None and str(split) != str(data.split):
        raise NasError(
            f"{option}: it was trained on dataset.split={split}, which contains validation images of "
            f"dataset.split={data.split}. Set dataset.split={split}."
        )
