"""Searches on NAS-Bench-201 with the weights of a golden of a recent method."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim import SGD

from nas.deploy.published_weights import load_published_weights
from nas.gradients.base import Batch
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.nas_bench_201.space import NasBench201
from tests.golden.test_common import our_names
from tests.support.golden_tools import Golden

DOUBLE = torch.float64


def same(tensors: list[Tensor]) -> list[Tensor]:
    return tensors


def nas_bench_201(
    stored: Golden, dtype: torch.dtype = torch.float32, relaxation: Any = Softmax, arch: ArchStep | None = None
) -> GradientSearch:
    """Build a search on NAS-Bench-201 with the weights and alpha of a golden, in training mode."""
    given = stored.entry["constructor"]
    images = next(stored.arrays[name] for name in ("x", "x_train") if name in stored.arrays)
    space = NasBench201(images.shape[1:], given["num_classes"], given["C"], given["N"], conv_bias=False)
    search = GradientSearch(space, relaxation, WeightStep(partial(SGD, lr=0.025)), arch).to(dtype)
    load_published_weights(search.supernet, stored.state())
    search.relaxation.alpha["cell"].data.copy_(stored.tensor("alpha"))
    return search.train()


def batch_of(stored: Golden, dtype: torch.dtype, suffix: str = "") -> Batch:
    return stored.tensor(f"x{suffix}", dtype), stored.tensor(f"y{suffix}")


def norms(names: list[str], search: GradientSearch, tensors: dict[str, Tensor]) -> np.ndarray[Any, Any]:
    """Return the norm of the tensor of each reference parameter."""
    return np.array([float(tensors[name].norm()) for name in our_names(names, search.supernet)])
