"""Inference of the options of a published network from the names and shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

_POOL_NORM = re.compile(r"(cells\.\d+\.(?:_ops\.\d+|edges\.\d+<-\d+|graph\.edges\.\w+\.\w+))\.(?:op\.)?1\.running_mean")
"""Batch norm in the position of a convolution: the op is a pool."""
_CLASSIFIER = re.compile(r"\bclassifier\.(?:[01]\.)?weight$")
"""Classifier, within a sequence in DSNAS and Single Path One-Shot, and after a dropout in NoisyDARTS-A."""


def infer_classes(state: Mapping[str, Tensor]) -> int | None:
    """Return the number of classes of a state_dict; None if it has no unique classifier."""
    weights = [v for k, v in state.items() if _CLASSIFIER.search(k) and "auxiliary" not in k]
    return weights[0].shape[0] if len(weights) == 1 and weights[0].dim() == 2 else None


def infer_options(state: Mapping[str, Tensor], notation: str) -> dict[str, Any]:
    """Return the options of the network of a space that follow from its weights.

    Args:
        state: state_dict of the network.
        notation: notation of the space; other notations than those of ``INFERRED`` have no such options.
    """
    plain = {key.removeprefix("module."): value for key, value in state.items()}
    infer = INFERRED.get(notation)
    return {} if infer is None else infer(plain)


def _count_cells(state: Mapping[str, Tensor]) -> int:
    return 1 + max((int(match[1]) for key in state if (match := re.match(r"cells\.(\d+)\.", key))), default=-1)


def _infer_nas_bench_201(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the options of three stages of equal cells with two reductions between them."""
    cells = _count_cells(state)
    if "stem.0.weight" not in state or cells < 5 or cells % 3 != 2:
        return {}
    return {"channels": state["stem.0.weight"].shape[0], "cells_per_stage": (cells - 2) // 3}


def _infer_mobile(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the ratio of squeeze-and-excitation, a multiple of 1/4 in published networks, from the widest block."""
    ratios: dict[int, float] = {}
    for key, weight in state.items():
        expansion = state.get(key.replace("se.conv_reduce.", "conv_pw."))
        if key.endswith("se.conv_reduce.weight") and expansion is not None and expansion.dim() == weight.dim() == 4:
            ratios[expansion.shape[1]] = weight.shape[0] / expansion.shape[1]
    return {"squeeze": round(4 * ratios[max(ratios)]) / 4 if ratios else 0.0}


def _infer_darts(state: Mapping[str, Tensor]) -> dict[str, Any]:
    entry = state.get("cells.0.preprocess1.op.1.weight")
    if entry is None or entry.dim() != 4:
        return {}
    channels, inputs = entry.shape[:2]
    options: dict[str, Any] = {"channels": channels, "layers": _count_cells(state)}
    if any(key.startswith("stem0.") for key in state):
        options["stem"] = "imagenet"
    elif inputs % channels == 0:
        options["stem_multiplier"] = inputs // channels
    if any(key.startswith("lastact.") for key in state):
        options["lastact"] = True
    pools = {match[0].removesuffix("running_mean") for key in state if (match := _POOL_NORM.fullmatch(key))}
    if pools:
        options["pool_norm"] = "affine" if any(f"{pool}weight" in state for pool in pools) else "plain"
    return options


def _infer_recurrent(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Infer the size of hidden states from the decoder, which has the same name in published language models."""
    decoder = state.get("decoder.weight")
    return {} if decoder is None or decoder.dim() != 2 else {"hidden_size": decoder.shape[1]}


INFERRED: Mapping[str, Callable[[Mapping[str, Tensor]], dict[str, Any]]] = {
    "darts": _infer_darts,
    "nas_bench_201": _infer_nas_bench_201,
    "mobile": _infer_mobile,
    "recurrent": _infer_recurrent,
}
"""Inference of options, by the notation of a space."""
