"""nas.nn.restored_state: hooks and training modes after a block, also after one that fails."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.nn.restored_state import temporary_hooks, training_modes_kept


@pytest.mark.parametrize("fails", [False, True])
def test_hooks_and_training_modes_are_restored(fails: bool) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    network[1].eval()
    calls: list[nn.Module] = []
    hooks = [part.register_forward_hook(lambda module, inputs, output: calls.append(module)) for part in network]
    try:
        with temporary_hooks(hooks), training_modes_kept(network):
            network.eval()
            network(torch.ones(1, 2))
            if fails:
                raise ValueError
    except ValueError:
        assert fails
    network(torch.ones(1, 2))
    assert calls == list(network)
    assert [part.training for part in (network, *network)] == [True, True, False]
