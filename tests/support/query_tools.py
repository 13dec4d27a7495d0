"""Small spaces and an evaluator of a formula, for tests of searches by queries."""

from __future__ import annotations

import hashlib
import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nas.architecture.cell import Cell, Genotype
from nas.blackbox.evaluator import Evaluation, Evaluator
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201

CHAIN = Cell(((0, 1), (0, 2), (1, 2)), ("none", "a", "b", "c"), output=(2,), keeps_none=True)
CHOOSING = Cell(
    ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)),
    ("none", "a", "b", "c"),
    output=(2, 3),
    inputs=2,
    excluded=frozenset({(2, "a"), (3, "b"), (3, "c"), (4, "a")}),
)


class Small(NasBench201):
    """A space of a few genotypes, each of them its own list of links."""

    notation = "small"

    def __init__(self, cell: Cell) -> None:
        super().__init__((3, 8, 8), 10, name="small")
        self.cells = {"cell": cell}

    def native(self, genotype: Genotype) -> str:
        return repr(genotype.cells["cell"].links)


def every(space: Space) -> set[Genotype]:
    """All genotypes of a space with one small cell, counted out by its definition."""
    (name, cell), *rest = space.cells.items()
    assert not rest
    per_node = []
    for node in cell.nodes:
        rows = [e for e, (_, target) in enumerate(cell.edges) if target == node and cell.choices(e)]
        kept = [rows] if cell.inputs is None else [list(k) for k in itertools.combinations(rows, cell.inputs)]
        per_node.append(
            [choice for k in kept for choice in itertools.product(*([(e, op) for op in cell.choices(e)] for e in k))]
        )
    return {
        _genotype(space, name, cell, [pair for part in parts for pair in part])
        for parts in itertools.product(*per_node)
    }


def _genotype(space: Space, name: str, cell: Cell, pairs: list[tuple[int, str]]) -> Genotype:
    from nas.architecture.cell import CellGenotype, Link

    links = tuple(Link(op, *cell.edges[e]) for e, op in pairs)
    return Genotype(space.notation, {name: CellGenotype(links, cell.output)})


def value_of(genotype: Genotype, salt: str = "") -> float:
    """A number from 0 to 100 that follows from the genotype alone."""
    text = repr(sorted((name, cell.links) for name, cell in genotype.cells.items())) + salt
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48 * 100


class Formula(Evaluator):
    """An evaluator without images: ``value_of`` at 10 simulated seconds and up to 10 more."""

    unit = "formula"
    simulated = True

    def __init__(self, **options: Any) -> None:
        self.asked: list[Genotype] = []
        self.draws = 0

    def __call__(self, genotype: Genotype) -> Evaluation:
        self.asked.append(genotype)
        self.draws += 1
        return Evaluation(value_of(genotype) + 1e-6 * self.draws, 10 + value_of(genotype, "cost") / 10)

    def begin(self, seed: int) -> None:
        self.draws = 1000 * seed

    def state(self) -> dict[str, Any]:
        return {"draws": self.draws}

    def load(self, state: Any) -> None:
        self.draws = state["draws"]

    def facts(self, genotype: Genotype) -> dict[str, float]:
        return {"fact": value_of(genotype, "fact")}

    def optimum(self) -> dict[str, float]:
        return {"fact": 100.0}


class Killing(Formula):
    """That evaluator, which kills its process as the run with the seed ``at`` begins; not where ``flag`` exists."""

    def __init__(self, flag: str, at: int, **options: Any) -> None:
        super().__init__(**options)
        self.flag, self.at = Path(flag), at

    def begin(self, seed: int) -> None:
        super().begin(seed)
        if seed == self.at and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Lengths(Formula):
    """That evaluator at several lengths of training: ``value_of`` differs between them, seconds grow with them."""

    def __init__(self, fidelities: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.fidelities = fidelities
        self.lengths: list[int] = []

    def __call__(self, genotype: Genotype, fidelity: int | None = None) -> Evaluation:
        assert fidelity is not None and fidelity in self.fidelities
        self.lengths.append(fidelity)
        value, seconds = super().__call__(genotype)
        return Evaluation(0.9 * value + 0.1 * value_of(genotype, str(fidelity)), seconds * fidelity)

    def unit_at(self, fidelity: int | None) -> str:
        return self.unit if fidelity is None else f"{self.unit} at {fidelity}"


def darts(name: str = "darts", **options: Any) -> Darts:
    """DARTS' space of two cell types, or one of S1 to S4 by its configuration."""
    from nas.cli.build import build_space
    from tests.support.compose_tools import composed

    class Shape:
        shape, classes = (3, 32, 32), 10

    with composed("search", f"space={name}") as cfg:
        space = build_space(cfg.space, Shape())  # type: ignore[arg-type]
    assert isinstance(space, Darts)
    return space


def sampled(space: Space, count: int) -> Iterator[Genotype]:
    """Genotypes drawn from a fixed seed."""
    import random

    rng = random.Random(0)
    return (space.sample(rng) for _ in range(count))
