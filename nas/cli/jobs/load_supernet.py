"""The supernet of a finished search, to be asked by another one."""

from __future__ import annotations

from pathlib import Path

import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from nas.blackbox.evaluators.supernet import SupernetAccuracy
from nas.cli.build import build_search, build_space
from nas.cli.overrides.parse import saved_choices
from nas.cli.run_dir.checkpoints import read_checkpoint
from nas.cli.run_dir.layout import last_checkpoint
from nas.data.base import ImageData
from nas.searches.base import SupernetSearch
from nas.spaces.base import Space
from nas.utils.errors import NasError


def supernet_accuracy(
    space: Space, data: ImageData, device: torch.device, run: str | None = None, batches: int | None = None
) -> SupernetAccuracy:
    """The evaluator of the supernet that the search in the directory ``run`` has trained.

    Raises:
        NasError: where there is none, or it is not of this space and data set.
    """
    wanted = "give the run directory of a search with a supernet (python search.py method=one_shot)"
    if run is None:
        raise NasError(f"evaluator.run is missing: {wanted}")
    directory = Path(run).expanduser()
    checkpoint = last_checkpoint(directory)
    config = directory / ".hydra" / "config.yaml"
    if checkpoint is None or not config.is_file():
        raise NasError(f"evaluator.run={run}: there is no checkpoints/last.ckpt and .hydra/config.yaml; {wanted}")
    cfg = OmegaConf.load(config)
    kind = data.name
    if cfg.space.name != space.name:
        raise NasError(f"evaluator.run={run}: it searched space '{cfg.space.name}', this one is '{space.name}'")
    choice = saved_choices(directory).get("dataset")
    _refuse_other_images(run, choice, cfg.dataset, data)
    theirs = build_space(cfg.space, data)
    search = build_search(cfg.method, theirs)
    if not isinstance(search, SupernetSearch):
        raise NasError(f"evaluator.run={run}: method '{cfg.method.name}' has no supernet; {wanted}")
    state = read_checkpoint(checkpoint)["state_dict"]
    prefix = "supernet."
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    try:
        search.supernet.load_state_dict(weights)
    except RuntimeError:
        raise NasError(
            f"evaluator.run={run}: its supernet (dataset={choice}) does not fit images of {kind}, or a stage of its "
            "method has changed its cells: choose the data set of the run, and a method whose supernet stays as it is"
        ) from None
    return SupernetAccuracy(search, data, device, batches)


def _refuse_other_images(run: str, choice: str | None, theirs: DictConfig, data: ImageData) -> None:
    """Raises NasError where the supernet was trained on other images, or on those that are to judge its genotypes."""
    mine = HydraConfig.get().runtime.choices["dataset"]
    if choice is not None and choice != mine:
        raise NasError(f"evaluator.run={run}: it was trained on dataset={choice}, this search has {mine}: choose that")
    split = theirs.get("split")
    if split is not None and str(split) != str(data.split):
        raise NasError(
            f"evaluator.run={run}: it was trained on dataset.split={split}, and some of the validation images of "
            f"dataset.split={data.split} with it: choose that split"
        )
