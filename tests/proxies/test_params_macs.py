"""Size of a pruned supernet."""

from __future__ import annotations

import pytest
import torch

from nas.proxies.pruned import PrunedSupernet
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.compose_tools import CONF
from tests.support.proxy_tools import (
    NONE,
    load_proxy,
)


@pytest.mark.parametrize("file", ["params", "macs"])
@pytest.mark.parametrize("space", [NasBench201((3, 8, 8), 10), Darts((3, 8, 8), 10)], ids=["nas_bench_201", "darts"])
def test_size_of_pruned_supernet_excludes_pruned_ops(space: Space, file: str) -> None:
    """Pruning an op removes its convolutions and batch norms in all cells."""
    net = space.probe("ntk")
    alive = {name: [[op != NONE for op in cell.ops] for _ in cell.edges] for name, cell in space.cells.items()}
    size_proxy, x = load_proxy(CONF / "proxy" / f"{file}.yaml"), torch.zeros(1, 3, 8, 8)

    def size() -> float:
        return size_proxy(PrunedSupernet(net, alive), (x, x), torch.Generator())

    whole, name, sizes = size(), next(iter(alive)), []
    for column, op in enumerate(space.cells[name].ops):
        alive[name][0][column] = False
        mine = [(n, p) for n, p in net.named_parameters() if f".0_{space.cells[name].edges[0][1]}.{op}." in n]
        kind = [(n, p) for n, p in mine if len(space.cells) == 1 or n.startswith("cells.0.")]
        removed = sum(p.numel() for _, p in kind)
        sizes.append(removed)
        assert whole - size() == removed if file == "params" else (whole > size()) == (removed > 0)
        alive[name][0][column] = op != NONE
    assert size() == whole and max(sizes) > 0 == min(sizes)
