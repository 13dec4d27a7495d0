"""The size of a published network, read off its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

_POOL_NORM = re.compile(r"(cells\.\d+\.(?:_ops\.\d+|edges\.\d+<-\d+|graph\.edges\.\w+\.\w+))\.(?:op\.)?1\.running_mean")
"""The batch norm that stands where an op would have its convolution: the op is a pool."""
_CLASSIFIER = re.compile(r"\bclassifier\.(?:[01]\.)?weight$")
"""The classifier, which DSNAS and Single Path One-Shot keep in a sequence, and NoisyDARTS-A behind a dropout."""


def infer_classes(state: Mapping[str, Tensor]) -> int | None:
    """The number of classes that a state_dict of any supported network tells apart; None where that is not seen."""
    weights = [v for k, v in state.items() if _CLASSIFIER.search(k) and "auxiliary" not in k]
    return weights[0].shape[0] if len(weights) == 1 and weights[0].dim() == 2 else None


def infer_options(state: Mapping[str, Tensor], notation: str) -> dict[str, Any]:
    """The options of a space's network that follow from the weights; none where they are of an unknown kind."""
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    read = {"darts": _nested, "nas_bench_201": _stacked}.get(notation)
    return {} if read is None else read(plain)


def _cells(state: Mapping[str, Tensor]) -> int:
    return 1 + max((int(match[1]) for key in state if (match := re.match(r"cells\.(\d+)\.", key))), default=-1)


def _stacked(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Three stages of equal cells with two reductions between them."""
    cells = _cells(state)
    if "stem.0.weight" not in state or cells < 5 or cells % 3 != 2:
        return {}
    return {"channels": state["stem.0.weight"].shape[0], "cells_per_stage": (cells - 2) // 3}


def _nested(state: Mapping[str, Tensor]) -> dict[str, Any]:
    entry = state.get("cells.0.preprocess1.op.1.weight")
    if entry is None or entry.dim() != 4:
        return {}
    channels, inputs = entry.shape[:2]
    found: dict[str, Any] = {"channels": channels, "layers": _cells(state)}
    if any(key.startswith("stem0.") for key in state):
        found["stem"] = "imagenet"
    elif inputs % channels == 0:
        found["stem_multiplier"] = inputs // channels
    if any(key.startswith("lastact.") for key in state):
        found["lastact"] = True
    pools = {match[0].removesuffix("running_mean") for key in state if (match := _POOL_NORM.fullmatch(key))}
    if pools:
        found["pool_norm"] = "affine" if any(f"{pool}weight" in state for pool in pools) else "plain"
    return found
