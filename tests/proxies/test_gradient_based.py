"""Proxies from the gradient of the loss against autograd."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.proxies.gradient_based import Grasp, Snip
from nas.proxies.proxy import weight_layers
from tests.support.proxy_tools import (
    random_batch,
    small_network,
)


def test_snip_equals_gradient_of_masks() -> None:
    net, (x, y) = small_network(), random_batch()
    masks = {f"{name}.weight": torch.ones_like(m.weight).requires_grad_() for name, m in weight_layers(net).items()}
    weights = {key: net.get_parameter(key).detach() * mask for key, mask in masks.items()}
    loss = F.cross_entropy(torch.func.functional_call(net.train(), weights, (x,)), y)
    grads = torch.autograd.grad(loss, list(masks.values()), allow_unused=True)
    expected = sum(float(g.abs().sum()) for g in grads if g is not None)
    assert Snip()(net, (x, y), torch.Generator()) == pytest.approx(expected, rel=1e-9)


def test_grasp_equals_explicit_hessian_product() -> None:
    """Compute the Hessian of a small network explicitly."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh(), nn.Flatten(), nn.Linear(8, 3)).double()
    x, y = torch.randn(4, 1, 3, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    shapes = {name: p for name, p in net.named_parameters() if "weight" in name}
    flat = torch.cat([p.detach().flatten() for p in shapes.values()])

    def loss(vector: Tensor) -> Tensor:
        parts = vector.split([p.numel() for p in shapes.values()])
        weights = {name: v.view_as(p) for v, (name, p) in zip(parts, shapes.items(), strict=True)}
        return F.cross_entropy(torch.func.functional_call(net, weights, (x,)), y)

    hessian = torch.autograd.functional.hessian(loss, flat)
    gradient = torch.autograd.functional.jacobian(loss, flat)
    expected = float(-(flat * (hessian @ gradient)).sum())
    assert Grasp()(net, (x, y), torch.Generator()) == pytest.approx(expected, rel=1e-9)
