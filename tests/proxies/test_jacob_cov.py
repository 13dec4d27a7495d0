"""Correlation of input gradients against numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nas.proxies.jacob_cov import JacobCov
from tests.support.proxy_tools import (
    random_batch,
    small_network,
)


def test_jacob_cov_equals_numpy() -> None:
    net, (x, y) = small_network(), random_batch()
    x = x.clone().requires_grad_()
    (rows,) = torch.autograd.grad(net.train()(x).sum(), x)
    v = np.linalg.eigvals(np.corrcoef(rows.flatten(1).numpy())).real + 1e-5
    assert JacobCov()(net, (x, y), torch.Generator()) == pytest.approx(-(np.log(v) + 1 / v).sum(), rel=1e-6)
