"""State of modules that a block changes and restores at its end: hooks and training modes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.utils.hooks import RemovableHandle


@contextmanager
def temporary_hooks(hooks: Iterable[RemovableHandle]) -> Iterator[None]:
    """Remove hooks at the end of a block."""
    handles = list(hooks)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def training_modes_kept(network: nn.Module) -> Iterator[None]:
    """Restore the training mode of each module of a network at the end of a block."""
    modes = [(module, module.training) for module in network.modules()]
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
