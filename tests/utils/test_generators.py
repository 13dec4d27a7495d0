"""Tests of generators that a checkpoint stores."""

from __future__ import annotations

import torch

from nas.utils.generators import Generators

CPU = torch.device("cpu")


def test_generators_resume_from_their_state() -> None:
    torch.manual_seed(0)
    generators = Generators()
    torch.rand(3, generator=generators.on(CPU))
    state = generators.state_dict()
    expected = torch.rand(3, generator=generators.on(CPU))
    other = Generators()
    other.load_state_dict(state)
    assert torch.equal(torch.rand(3, generator=other.on(CPU)), expected)


def test_generators_depend_on_the_global_seed_only() -> None:
    samples = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        samples.append(torch.rand(3, generator=Generators().on(CPU)))
    assert torch.equal(samples[0], samples[1]) and not torch.equal(samples[0], samples[2])
