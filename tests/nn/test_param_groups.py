"""nas.nn.param_groups: parameters with and without weight decay."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from nas.nn.ops import OpOptions
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype
from nas.training.network_training import Training
from tests.support.resume_tools import DARTS

SGD = partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01)


def test_parameter_groups_exclude_norms_and_biases_from_decay() -> None:
    network = Darts((3, 8, 8), 10).network(load_genotype(DARTS), channels=4, layers=3)
    everything = Training(network, SGD).configure_optimizers()[0][0]
    assert [len(group["params"]) for group in everything.param_groups] == [len(list(network.parameters()))]
    optimizer = Training(network, SGD, decay_norm_and_bias=False).configure_optimizers()[0][0]
    decayed, free = optimizer.param_groups
    assert (decayed["weight_decay"], free["weight_decay"], free["lr"], free["momentum"]) == (0.01, 0.0, 0.1, 0.9)
    norms = {id(p) for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    biases = {id(m.bias) for m in network.modules() if getattr(m, "bias", None) is not None}
    assert {id(p) for p in free["params"]} == norms | biases
    kernels = {id(m.weight) for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert {id(p) for p in decayed["params"]} == kernels and OpOptions().affine
