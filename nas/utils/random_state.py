"""Random state of a process in checkpoints, as plain values, and a check of the tensors of a checkpoint."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.utils.errors import NasError


def random_state() -> dict[str, Any]:
    """Return the states of Python's, numpy's and torch's generators as tensors and primitives."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Set all generators to the states that ``random_state`` returned."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])


def check_state_dict(module: nn.Module, saved: dict[str, Any], kind: str) -> None:
    """Raise NasError if the tensors of a checkpoint differ from those of ``module`` in name or shape.

    Args:
        module: the module that will load the checkpoint.
        saved: state_dict of the checkpoint.
        kind: "search" or "training", for the message.
    """
    current = {key: tuple(value.shape) for key, value in module.state_dict().items() if isinstance(value, Tensor)}
    stored = {key: tuple(value.shape) for key, value in saved.items() if isinstance(value, Tensor)}
    for key in [*stored, *current]:
        if current.get(key) != stored.get(key):
            there, here = (
                f"has shape {shapes[key]}" if key in shapes else "does not exist" for shapes in (stored, current)
            )
            raise NasError(
                f"ckpt_path: '{key}' {there} in the checkpoint and {here} in this {kind}. "
                f"Resume with the options that the {kind} was started with."
            )
