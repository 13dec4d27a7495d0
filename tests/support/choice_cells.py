"""Networks of NAS-Bench-201 and DARTS cells, written with choices."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nas.choices import Choice, InputChoice, Zero
from nas.nn.cell_builder import CellBuilder
from nas.nn.ops import OPS, OpOptions
from nas.spaces.darts.network import DartsNetwork
from nas.spaces.darts.notation import DARTS_OPS
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.network import NasBench201Network, Reduction
from nas.spaces.nas_bench_201.notation import EDGES
from nas.spaces.nas_bench_201.notation import OPS as NB201_OPS
from nas.spaces.nas_bench_201.space import NasBench201

SHAPE, CLASSES = (3, 8, 8), 10
NB201 = NasBench201(SHAPE, CLASSES, channels=4, cells_per_stage=1, fused=False)
DARTS = Darts(SHAPE, CLASSES, channels=2, layers=3, fused=False)


def ops(names: tuple[str, ...], channels: int, stride: int, options: OpOptions) -> dict[str, nn.Module]:
    """Build the ops of a published space by name."""
    return {n: Zero(stride) if n == "none" else OPS[n](channels, stride, options) for n in names}


class Cell201(nn.Module):
    """A cell of NAS-Bench-201 with a choice on each edge."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleDict(
            {f"{s}_{t}": Choice(ops(NB201_OPS, channels, 1, NB201.options), f"edge_{s}_{t}") for s, t in EDGES}
        )

    def forward(self, x: Tensor) -> Tensor:
        nodes = [x]
        for target in (1, 2, 3):
            nodes.append(sum(self.edges[f"{s}_{target}"](nodes[s]) for s in range(target)))  # type: ignore[arg-type]
        return nodes[3]


class Net201(nn.Module):
    """The network of NAS-Bench-201 with one cell per stage."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        built = NasBench201Network(NB201.cells["cell"], CellBuilder(options=NB201.options), 4, 1, shape, classes)
        self.stem, self.lastact, self.pool, self.classifier = built.stem, built.lastact, built.pool, built.classifier
        self.cells = nn.ModuleList()
        for i, cell in enumerate(built.cells):
            self.cells.append(cell if isinstance(cell, Reduction) else Cell201(4 * 2 ** ((i + 1) // 2)))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for cell in self.cells:
            x = cell(x)
        return self.classifier(self.pool(self.lastact(x)))


class CellDarts(nn.Module):
    """A DARTS cell whose nodes choose two inputs and their ops."""

    def __init__(self, preprocess: tuple[nn.Module, nn.Module], kind: str, channels: int) -> None:
        super().__init__()
        self.preprocess0, self.preprocess1 = preprocess
        self.nodes = nn.ModuleList()
        for node in range(2, 6):
            strides = [2 if kind == "reduce" and source < 2 else 1 for source in range(node)]
            given = [ops(DARTS_OPS, channels, stride, DARTS.options) for stride in strides]
            self.nodes.append(InputChoice(node, keep=2, candidates=given, name=f"{kind}_{node}"))

    def forward(self, before: Tensor, last: Tensor) -> Tensor:
        states = [self.preprocess0(before), self.preprocess1(last)]
        for node in self.nodes:
            states.append(node(states))
        return torch.cat(states[2:], dim=1)


class NetDarts(nn.Module):
    """The DARTS network with three cells, two of them reductions."""

    def __init__(self, shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        built = DARTS.supernet()
        assert isinstance(built, DartsNetwork)
        self.stem, self.pool, self.classifier = built.stem, built.pool, built.classifier
        self.cells = nn.ModuleList()
        for kind, cell, channels in zip(built.kinds, built.cells, (2, 4, 8), strict=True):
            self.cells.append(CellDarts((cell.preprocess0, cell.preprocess1), kind, channels))  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        before = last = self.stem(x)
        for cell in self.cells:
            before, last = last, cell(before, last)
        return self.classifier(self.pool(last))


def translate(state: Mapping[str, Tensor], names: tuple[str, ...]) -> dict[str, Tensor]:
    """Return the state of a published supernet under the names of a model with choices."""
    found = {}
    for key, value in state.items():
        match = re.fullmatch(r"(cells\.\d+\.)(?:graph\.)?edges\.(\d)_(\d)\.(\w+)\.(.*)", key)
        if match is None:
            found[f"model.{key}"] = value
        elif "graph" in key:
            node = f"nodes.{int(match[3]) - 2}.candidates.{match[2]}.{names.index(match[4])}"
            found[f"model.{match[1]}{node}.{match[5]}"] = value
        else:
            edge = f"edges.{match[2]}_{match[3]}.candidates.{names.index(match[4])}"
            found[f"model.{match[1]}{edge}.{match[5]}"] = value
    return found
