"""The random state of a process, and the check of a checkpoint's tensors."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from nas.utils.errors import NasError
from nas.utils.random_state import check_state_dict, random_state, restore_random_state


def sample() -> list[float]:
    """Return numbers of all generators; the second of each pair is cached by some of them."""
    pairs = [[random.gauss(0, 1), float(np.random.normal()), float(torch.randn(()))] for _ in range(2)]
    return [number for pair in pairs for number in pair]


def test_restored_generators_repeat_their_numbers() -> None:
    random.gauss(0, 1)
    np.random.normal()
    state = random_state()
    first = sample()
    assert sample() != first
    restore_random_state(state)
    assert sample() == first


@pytest.mark.parametrize("name", ["weight", "bias", "extra"])
def test_check_state_dict_names_the_tensor_that_differs(name: str) -> None:
    layer = nn.Linear(2, 3)
    saved = dict(layer.state_dict())
    check_state_dict(layer, saved, "search")
    saved[name] = torch.zeros(7)
    with pytest.raises(NasError, match=f"ckpt_path: '{name}' has shape"):
        check_state_dict(layer, saved, "search")
