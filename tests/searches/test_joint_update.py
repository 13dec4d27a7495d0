"""Common optimizer steps equal the steps of each network, with the same states."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from nas.nn.param_groups import parameter_groups
from nas.nn.stacked_parameters import ParameterBlock, SharedParameter, join_blocks
from nas.searches.joint_update import JointUpdate

Build = Callable[[Any], Optimizer]
OPTIMIZERS: dict[str, Build] = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
    "plain_sgd": lambda parameters: torch.optim.SGD(parameters, 0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 0.1, weight_decay=0.1),
}


def build_network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3)).double()


def join(networks: list[nn.Module]) -> list[ParameterBlock]:
    shared = []
    for parts in zip(*(network.parameters() for network in networks), strict=True):
        common = nn.Parameter(torch.cat([part.detach() for part in parts]))
        shared.append(SharedParameter(common, list(parts)))
    return join_blocks(shared)


def set_gradients(networks: list[nn.Module], blocks: list[ParameterBlock]) -> None:
    """Set random gradients, of the networks if there are no blocks."""
    torch.manual_seed(1)
    grads = [[torch.randn_like(p) for p in network.parameters()] for network in networks]
    for network, found in zip(networks, grads, strict=True):
        for parameter, grad in zip(network.parameters(), found, strict=True):
            parameter.grad = None if blocks else grad
    of = {}
    for network, found in zip(networks, grads, strict=True):
        of.update({id(parameter): grad for parameter, grad in zip(network.parameters(), found, strict=True)})
    for common, parts in (one for block in blocks for one in block.shared):
        common.grad = torch.cat([of[id(part)] for part in parts])


def step_alone(networks: list[nn.Module], optimizers: list[Optimizer], others: list[list[nn.Parameter]]) -> None:
    set_gradients(networks, [])
    for network, optimizer, more in zip(networks, optimizers, others, strict=True):
        nn.utils.clip_grad_norm_([*network.parameters(), *more], 2.0)
        optimizer.step()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_common_steps_equal_those_of_each_network(name: str) -> None:
    build = OPTIMIZERS[name]
    alone = [build_network() for _ in range(3)]
    together = copy.deepcopy(alone)
    own, common = ([build(parameter_groups(n, False)) for n in networks] for networks in (alone, together))
    extra = [[nn.Parameter(torch.zeros(2).double())] for _ in alone]
    if name != "sgd":  # the common steps begin with the states of the networks
        step_alone(alone, own, [[], [], []])
        step_alone(together, common, [[], [], []])
    blocks = join(together)
    update = JointUpdate(blocks, common)
    for number in range(3):
        for more in extra:
            more[0].grad = torch.full((2,), 3.0).double()
        for optimizer in (*own, *common):
            optimizer.param_groups[0]["lr"] = 0.1 + 0.1 * number
        step_alone(alone, own, extra)
        clipped = [more[0].grad for more in extra]
        for more in extra:
            more[0].grad = torch.full((2,), 3.0).double()
        set_gradients(together, blocks)
        assert update.step(2.0, extra)
        torch.testing.assert_close([more[0].grad for more in extra], clipped)
        if number == 1:  # a step of single networks, after which the states are read again
            step_alone(alone, own, [[], [], []])
            step_alone(together, common, [[], [], []])
            update.reset()
    for one, other in zip(alone, together, strict=True):
        torch.testing.assert_close(dict(other.named_parameters()), dict(one.named_parameters()))
    for first, second in zip(own, common, strict=True):
        states = [optimizer.state_dict()["state"] for optimizer in (second, first)]
        assert list(states[0]) == list(states[1])
        torch.testing.assert_close(*states)
    assert all(parameter.grad is None for network in together for parameter in network.parameters())


@pytest.mark.parametrize("reason", ["optimizer", "options", "gradient", "own_gradient", "state"])
def test_networks_that_differ_take_steps_of_their_own(reason: str) -> None:
    networks = [build_network() for _ in range(2)]
    kind = torch.optim.Adagrad if reason == "optimizer" else torch.optim.AdamW
    optimizers: list[Optimizer] = [kind(network.parameters(), 0.1) for network in networks]
    if reason == "state":
        step_alone(networks[:1], optimizers[:1], [[]])
    blocks = join(networks)
    set_gradients(networks, blocks)
    if reason == "options":
        optimizers[1].param_groups[0]["lr"] = 0.2
    elif reason == "gradient":
        blocks[0].shared[0].common.grad = None
    elif reason == "own_gradient":
        next(networks[0].parameters()).grad = torch.zeros(3, 2, 1, 1).double()
    before = copy.deepcopy([network.state_dict() for network in networks])
    assert not JointUpdate(blocks, optimizers).step(1.0, [[], []])
    torch.testing.assert_close([network.state_dict() for network in networks], before)
    assert blocks[-1].shared[-1].common.grad is not None
