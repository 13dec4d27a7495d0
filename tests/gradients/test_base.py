"""Gradients of inputs that a loss may not depend on."""

from __future__ import annotations

import torch

from nas.gradients.base import grad_or_zeros


def test_grad_or_zeros_of_unused_inputs() -> None:
    used, unused = torch.tensor([2.0, 3.0], requires_grad=True), torch.ones(2, 2, requires_grad=True)
    found = grad_or_zeros(used.square().sum(), [unused, used])
    assert torch.equal(found[0], torch.zeros(2, 2)) and found[1].tolist() == [4.0, 6.0]
    (first,) = grad_or_zeros(used.pow(3).sum(), [used], create_graph=True)
    assert torch.autograd.grad(first.sum(), used)[0].tolist() == [12.0, 18.0]
