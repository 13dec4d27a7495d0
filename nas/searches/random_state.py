"""The random state of a process as plain values, so that a checkpoint can hold it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nas.utils.errors import NasError


def random_state() -> dict[str, Any]:
    """The states of Python's, numpy's and torch's generators, as tensors and primitives."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_state(state: dict[str, Any]) -> None:
    """Puts the generators back where ``random_state`` found them."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([s.cpu() for s in state["cuda"]])


def check_state(module: nn.Module, saved: dict[str, Any], kind: str) -> None:
    """Raises NasError where a checkpoint's tensors are not those of ``module``, by name and shape."""
    mine = {key: tuple(value.shape) for key, value in module.state_dict().items() if isinstance(value, Tensor)}
    theirs = {key: tuple(value.shape) for key, value in saved.items() if isinstance(value, Tensor)}
    for key in [*theirs, *mine]:
        if mine.get(key) != theirs.get(key):
            there, here = (f"has shape {t[key]}" if key in t else "does not exist" for t in (theirs, mine))
            raise NasError(
                f"ckpt_path: '{key}' {there} in the checkpoint, and {here} in this {kind}: "
                f"go on with the options that the {kind} was started with"
            )
