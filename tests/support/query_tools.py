"""Small spaces and a formula as evaluator, for tests of black-box search."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from nas.architecture.cell import Cell, Genotype
from nas.blackbox.ask_tell import AskTellLoop, Budget
from nas.blackbox.evaluator import Evaluator, QueryResult
from nas.blackbox.strategies.regularized_evolution import RegularizedEvolution
from nas.data.synthetic import Synthetic
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.error_tools import run
from tests.support.forked_script import forked_script

QUICK = ["~callbacks.cell_plots", "logger=none"]
FORMULA = ["evaluator=benchmark", "evaluator._target_=tests.support.query_tools.Formula"]
COMMAND = ["method=regularized_evolution", "dataset=cifar10", *FORMULA]
THREADS = ["executor=futures", "executor.pool._target_=concurrent.futures.ThreadPoolExecutor"]
"""Workers in threads of the test's process, which start at once."""
KILL = "+callbacks.kill={{_target_:tests.support.compose_tools.KillOnce,flag:{flag},epoch:{epoch},batch:{batch}}}"
SMALL_NETWORK = {"channels": 4, "cells_per_stage": 1}
SMALL_SPACE = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)
CHAIN = Cell(((0, 1), (0, 2), (1, 2)), ("none", "a", "b", "c"), output=(2,), keeps_none=True)
CHOOSING = Cell(
    ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3)),
    ("none", "a", "b", "c"),
    output=(2, 3),
    inputs=2,
    excluded=frozenset({(2, "a"), (3, "b"), (3, "c"), (4, "a")}),
)


def run_and_kill(arguments: Sequence[str], folder: Path) -> tuple[Path, Path]:
    """Run a search, and the same search again, killed in its third epoch. Return the directories of both."""
    whole, broken = folder / "whole", folder / "broken"
    run("search", *arguments, f"hydra.run.dir={whole}").succeeded()
    kill = KILL.format(flag=folder / "killed", epoch=2, batch=1)
    killed = forked_script("search", *arguments, f"hydra.run.dir={broken}", kill, cwd=folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return whole, broken


def assert_same_queries(whole: Path, resumed: Path) -> None:
    """Assert that two black-box searches have made the same queries with the same result."""
    for name in ("queries.jsonl", "genotype.json", "anytime.csv"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name


class SmallSpace(NasBench201):
    """Space of a few genotypes, whose native string is the list of links."""

    notation = "small"

    def __init__(self, cell: Cell) -> None:
        super().__init__((3, 8, 8), 10, name="small")
        self.cells = {"cell": cell}

    def native(self, genotype: Genotype) -> str:
        return repr(genotype.cells["cell"].links)


def all_genotypes(space: Space) -> set[Genotype]:
    """Enumerate the genotypes of a space with one small cell."""
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
    """Return a number from 0 to 100 that depends only on the genotype."""
    text = repr(sorted((name, cell.links) for name, cell in genotype.cells.items())) + salt
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=6).digest(), "big") / 2**48 * 100


class Formula(Evaluator):
    """Evaluator without images: ``value_of`` at 10 to 20 simulated seconds."""

    label = "formula"
    simulated = True

    def __init__(self, **options: Any) -> None:
        self.queried: list[Genotype] = []
        self.calls = 0

    def __call__(self, genotype: Genotype) -> QueryResult:
        self.queried.append(genotype)
        self.calls += 1
        return QueryResult(value_of(genotype) + 1e-6 * self.calls, 10 + value_of(genotype, "cost") / 10)

    def reset(self, seed: int) -> None:
        self.calls = 1000 * seed

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls}

    def load_state_dict(self, state: Any) -> None:
        self.calls = state["calls"]

    def reported_accuracies(self, genotype: Genotype) -> dict[str, float]:
        return {"fact": value_of(genotype, "fact")}

    def best_accuracies(self) -> dict[str, float]:
        return {"fact": 100.0}


class KillingFormula(Formula):
    """Formula that kills its process when the run with seed ``at`` starts, unless ``flag`` exists."""

    def __init__(self, flag: str, at: int, **options: Any) -> None:
        super().__init__(**options)
        self.flag, self.at = Path(flag), at

    def reset(self, seed: int) -> None:
        super().reset(seed)
        if seed == self.at and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)


class FormulaWithFidelities(Formula):
    """Formula with several fidelities: values differ between them, seconds grow with them."""

    def __init__(self, fidelities: Sequence[int], **options: Any) -> None:
        super().__init__(**options)
        self.fidelities = fidelities
        self.lengths: list[int] = []

    def __call__(self, genotype: Genotype, fidelity: int | None = None) -> QueryResult:
        assert fidelity is not None and fidelity in self.fidelities
        self.lengths.append(fidelity)
        value, seconds = super().__call__(genotype)
        return QueryResult(0.9 * value + 0.1 * value_of(genotype, str(fidelity)), seconds * fidelity)

    def label_at(self, fidelity: int | None) -> str:
        return self.label if fidelity is None else f"{self.label} at {fidelity}"


def run_by_hand(budget: Budget, seed: int = 0) -> AskTellLoop:
    """Run regularized evolution on ``Formula`` without configuration and trainer."""
    evaluator, space = Formula(), NasBench201((3, 32, 32), 10)
    loop = AskTellLoop(RegularizedEvolution(space), budget, random.Random(seed))
    evaluator.reset(seed)
    while loop.step(evaluator):
        pass
    return loop


def distance(first: Genotype, second: Genotype) -> int:
    """Return the number of links that differ in op or edge."""
    return sum(len(set(cell.links) - set(second.cells[name].links)) for name, cell in first.cells.items())


def small_images(**options: Any) -> Synthetic:
    """Build synthetic images for ``SMALL_SPACE``."""
    return Synthetic(**{"shape": (3, 8, 8), "size": 64, "test_size": 16, "batch_size": 16, **options})


def darts(name: str = "darts", **options: Any) -> Darts:
    """Build the DARTS space, or one of S1 to S4, from its configuration."""
    from nas.cli.build import build_space
    from tests.support.compose_tools import composed

    class Shape:
        shape, classes, inputs = (3, 32, 32), 10, "images"

    with composed("search", f"space={name}") as cfg:
        space = build_space(cfg.space, Shape())  # type: ignore[arg-type]
    assert isinstance(space, Darts)
    return space


def sampled(space: Space, count: int) -> Iterator[Genotype]:
    """Yield random genotypes from a fixed seed."""
    rng = random.Random(0)
    return (space.sample(rng) for _ in range(count))
