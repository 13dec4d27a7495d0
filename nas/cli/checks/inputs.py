"""Check that the networks of a space take the kind of data of a data set: images or text."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig

from nas.spaces.base import Space
from nas.utils.errors import NasError

FIXES = {
    "images": "Use dataset=ptb, wikitext2 or text_synthetic, or a network for images.",
    "text": "Use space=recurrent or a genotype of it, or another data set.",
}
"""Advice by the kind of data that the data set provides."""


def check_genotype_inputs(genotype: str, space: Space, dataset: str, given: str) -> None:
    """Raise NasError if the networks of a genotype do not take ``given``, the kind of data of the data set."""
    if space.inputs != given:
        raise NasError(
            f"genotype={genotype[:80]} dataset={dataset}: the networks of space={space.name} take {space.inputs}, and "
            f"the data set provides {given}. {FIXES[given]}"
        )


def check_inputs(space: DictConfig, given: str) -> None:
    """Raise NasError if the networks of a space do not take ``given``, the kind of data of the data set."""
    needed = getattr(get_object(space._target_), "inputs", "images")
    if needed != given:
        chosen = HydraConfig.get().runtime.choices
        raise NasError(
            f"space={chosen['space']} dataset={chosen['dataset']}: the networks of this space take {needed}, and the "
            f"data set provides {given}. {FIXES[given]}"
        )
