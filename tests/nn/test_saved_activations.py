"""Bytes of saved activations against a count by hand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nas.nn.activation_checkpointing import checkpoint_cells
from nas.nn.saved_activations import SavedActivations, measure_saved_activations

B, N = 3, 5
FLOATS = 4 * B * N


class Exponentials(nn.Module):
    """Cell with ``count`` exponentials, each of which saves its output."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.count):
            x = x.exp()
        return x


class Chain(nn.Module):
    """Linear layer, two cells, and a square."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(N, N)
        self.cells = nn.ModuleList([Exponentials(2), Exponentials(4)])

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for cell in self.cells:
            x = cell(x)
        return x.square()


def test_storages_count_once_and_checkpointing_keeps_inputs_and_one_cell() -> None:
    network, x = Chain(), torch.zeros(B, N)
    # the image, the outputs of six exponentials; the square saves the last of them again
    plain = 7 * FLOATS
    # the image, the inputs of both cells, and four outputs of the larger cell
    checkpointed = 7 * FLOATS
    assert measure_saved_activations(network, lambda: network(x)) == SavedActivations(plain, checkpointed)
    network.cells.append(Exponentials(1))
    assert measure_saved_activations(network, lambda: network(x)) == SavedActivations(8 * FLOATS, 7 * FLOATS)
    network.cells.extend(Exponentials(3) for _ in range(10))
    found = measure_saved_activations(network, lambda: network(x))
    assert found == SavedActivations(38 * FLOATS, (1 + 13 + 3) * FLOATS)


def test_measurement_leaves_no_hooks() -> None:
    network = Chain()
    measure_saved_activations(network, lambda: network(torch.zeros(B, N)))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    checkpoint_cells(network)
    network(torch.zeros(B, N)).sum().backward()
    assert network.first.weight.grad is not None
