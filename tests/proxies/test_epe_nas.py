"""EPE-NAS: both variants against loops."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.proxies.epe_nas import EpeNas, between_classes, within_classes
from nas.utils.errors import NasError
from tests.support.proxy_tools import random_batch, small_network

DOUBLE = torch.float64


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def log_correlations(rows: Tensor) -> float:
    r = np.corrcoef(rows.numpy()) if len(rows) > 1 else np.ones((1, 1))
    return float(np.log(np.abs(r) + 1e-5).sum())


def test_epe_nas_has_two_variants() -> None:
    rows, labels = torch.randn(7, 20, generator=generator(), dtype=DOUBLE), torch.tensor([2, 0, 2, 5, 0, 2, 9])
    groups = [rows[labels == c] for c in (0, 2, 5, 9)]
    assert within_classes(rows, labels) == pytest.approx(sum(abs(log_correlations(g)) for g in groups), rel=1e-9)
    scores = [log_correlations(g) / len(g) for g in groups if len(g) > 1]
    expected = sum(2 * abs(a - b) for a, b in combinations(scores, 2)) / len(scores)
    assert between_classes(rows, labels) == pytest.approx(expected, rel=1e-9)
    assert math.isnan(between_classes(rows[:2], labels[:2]))
    network, batch = small_network(), random_batch()
    found = {classes: EpeNas(classes=classes)(network, batch, generator()) for classes in ("outputs", "few", "labels")}  # type: ignore[arg-type]
    assert len(set(found.values())) == 1 and found["few"] > 0, "all agree on ten classes"
    with pytest.raises(NasError, match="EpeNas: classes"):
        EpeNas(classes="many")  # type: ignore[arg-type]
