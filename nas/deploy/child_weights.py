"""Weights of the network of a genotype, taken from the supernet of a single-path space (DSNAS)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from nas.architecture.cell import Genotype
from nas.nn.edges.mixed import module_key
from nas.spaces.single_path.chain import CHAIN, chain_ops
from nas.spaces.single_path.chain_body import SKIP

PREFIX = "supernet."
"""Prefix of the weights of a supernet in the checkpoint of a search."""
BODIES = {"features": ("features", 0), "chain": ("blocks", 1)}
"""Body of a supernet, with the body of a network and the number of its first searched block."""
_CANDIDATE = re.compile(r"(features|chain)\.graph\.edges\.(\d+)_\d+\.(\w+)\.((?:branch|conv|bn|se)[\w.]*)")


def child_weights(state: Mapping[str, Tensor], genotype: Genotype) -> dict[str, Tensor] | None:
    """Return the weights of a genotype under their names in its network, None without a chain of candidates.

    The running statistics of batch norm, which belong to all paths, start again from mean 0 and variance 1, as in the
    code of DSNAS.

    Args:
        state: state_dict of a search.
        genotype: chain of blocks.
    """
    supernet = {key.removeprefix(PREFIX): value for key, value in state.items() if key.startswith(PREFIX)}
    if CHAIN not in genotype.cells or not any(".graph.edges." in name for name in supernet):
        return None
    ops = chain_ops(genotype)
    kept = [layer for layer, op in enumerate(ops) if op != SKIP]
    weights: dict[str, Tensor] = {}
    for name, value in supernet.items():
        match = _CANDIDATE.fullmatch(name)
        if match is not None:
            layer = int(match[2])
            if layer >= len(ops) or module_key(ops[layer]) != match[3]:
                continue
            body, first = BODIES[match[1]]
            name = f"{body}.{first + kept.index(layer)}.{match[4]}"
        weights[name] = _fresh(name, value)
    return weights


def _fresh(name: str, value: Tensor) -> Tensor:
    if name.endswith("running_mean"):
        return torch.zeros_like(value)
    return torch.ones_like(value) if name.endswith("running_var") else value
