"""Neural architecture search from interchangeable parts."""

from __future__ import annotations

TYPE_CHECKING = False  # the import of typing takes a third of the start of a command
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import Any

    from torch import nn

    from nas.architecture.cell import Genotype
    from nas.deploy.load import TrainedNetwork
    from nas.nn.cost import Cost

__version__ = "0.2.0"


def load(
    source: str | Path,
    *,
    genotype: str | Path | Genotype | None = None,
    shape: tuple[int, int, int] | None = None,
    normalize: bool = False,
    own_parts: Sequence[Any] | Mapping[str, Any] = (),
    **options: Any,
) -> TrainedNetwork:
    """Load the trained network of a run directory, a model.pt or a published state_dict (``nas.deploy.load.load``)."""
    from nas.deploy.load import load as loaded  # torch is imported only where it is needed

    return loaded(source, genotype=genotype, shape=shape, normalize=normalize, own_parts=own_parts, **options)


def count(network: nn.Module, shape: Sequence[int] = (3, 32, 32), rules: Iterable[str] | None = None) -> Cost:
    """Count the parameters and the operations of any network for one input of ``shape`` (``nas.nn.cost.count``)."""
    from nas.nn.cost import count as counted

    return counted(network, shape, rules)


def own_parts(*parts: Any, **named: Any) -> AbstractContextManager[None]:
    """Use custom ops and spaces within a ``with`` statement (``nas.spaces.custom_spaces.own_parts``)."""
    from nas.spaces.custom_spaces import own_parts as used

    return used(*parts, **named)
