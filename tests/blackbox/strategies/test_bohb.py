"""BOHB: Hyperband's brackets, and candidates of its models."""

from __future__ import annotations

import random
from typing import Literal

import pytest

from nas.architecture.cell import Genotype
from nas.blackbox.strategies.bohb import Bohb
from nas.blackbox.strategies.kernel_density import ABSENT, KernelDensityModel
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.query_tools import CHOOSING, SmallSpace, darts, value_of

NB201 = NasBench201((3, 32, 32), 10)


@pytest.mark.parametrize("model", ["kernels", "optuna"])
def test_bohb_follows_brackets_of_hyperband(model: Literal["kernels", "optuna"]) -> None:
    if model == "optuna":
        pytest.importorskip("optuna")
    strategy, rng = Bohb(NB201, rungs=3, eta=3, model=model), random.Random(0)
    asked: list[Genotype] = []
    for _ in range(9 + 3 + 1 + 3 + 1 + 3 + 9 + 3 + 1):
        asked.append(strategy.ask(rng))
        strategy.tell(asked[-1], value_of(asked[-1]))
    first = sorted(asked[:9], key=lambda g: -value_of(g))
    assert asked[9:12] == first[:3] and asked[12] == first[0]
    assert asked[16] == max(asked[13:16], key=value_of)
    third = sorted(asked[20:29], key=lambda g: -value_of(g))
    assert asked[29:32] == third[:3] and asked[32] == third[0]
    assert [model.ready for model in strategy.models] == [True, model == "optuna", False]


@pytest.mark.parametrize(("model", "ops"), [("optuna", 5), ("kernels", 2)])
def test_bohb_learns(model: Literal["kernels", "optuna"], ops: int) -> None:
    """With five options per decision, ``kernels`` learn very little so early, since their bandwidths are about 1."""
    if model == "optuna":
        pytest.importorskip("optuna")
    cell = NB201.cells["cell"]
    kept = ["nor_conv_3x3", *(op for op in cell.ops if op != "nor_conv_3x3")][:ops]
    space = SmallSpace(cell.masked([[op in kept for op in cell.ops]] * 6))
    strategy, rng = Bohb(space, rungs=1, model=model), random.Random(0)
    assert all(decision.size == ops for decision in strategy.encoding.decisions)

    def convolutions(genotype: Genotype) -> float:
        return float(sum(link.op == "nor_conv_3x3" for link in genotype.cells["cell"].links))

    values = []
    for _ in range(60):
        genotype = strategy.ask(rng)
        values.append(convolutions(genotype))
        strategy.tell(genotype, values[-1])
    assert sum(values[-20:]) / 20 > 6 / ops + 1.2


@pytest.mark.parametrize("name", ["darts", "darts_s1"])
def test_bohb_candidates_are_members_of_space(name: str) -> None:
    space, rng = darts(name), random.Random(0)
    strategy = Bohb(space, rungs=1, min_points=5)
    for _ in range(40):
        genotype = strategy.ask(rng)
        space.check(genotype)
        strategy.tell(genotype, value_of(genotype))
    assert strategy.models[0].ready


def test_bohb_marks_undecided_ops_as_absent() -> None:
    space, rng = SmallSpace(CHOOSING), random.Random(0)
    strategy = Bohb(space, rungs=1, min_points=3)
    for _ in range(12):
        strategy.tell(strategy.ask(rng), rng.random())
    model = strategy.models[0]
    assert isinstance(model, KernelDensityModel)
    absent = {sum(choice == ABSENT for choice in row) for row in model._rows}
    assert absent == {1}, "two of three edges into node 3 are taken"


def test_bohb_is_deterministic() -> None:
    def asked(seed: int) -> list[object]:
        rng, strategy = random.Random(seed), Bohb(NB201)
        found: list[object] = []
        for _ in range(60):
            found.append(strategy.ask(rng))
            strategy.tell(found[-1], value_of(found[-1]))  # type: ignore[arg-type]
        return found

    assert asked(1) == asked(1) != asked(2)


def test_bohb_refuses_options_out_of_range() -> None:
    for options in ({"min_points": 0}, {"min_bandwidth": 0.0}, {"min_bandwidth": 1.5}, {"eta": 1}):
        with pytest.raises(NasError, match="Bohb: m.*: use|Bohb: eta=1: use a whole number from 2"):
            Bohb(NB201, **options)  # type: ignore[arg-type]


def test_bohb_samples_from_the_model_of_the_highest_ready_rung(monkeypatch: pytest.MonkeyPatch) -> None:
    strategy, rng = Bohb(NB201, rungs=2, eta=3, min_points=4), random.Random(0)
    used: list[tuple[int, list[bool]]] = []
    for rung, model in enumerate(strategy.models):
        assert isinstance(model, KernelDensityModel)

        def sample(rng: random.Random, rung: int = rung, model: KernelDensityModel = model) -> object:
            used.append((rung, [other.ready for other in strategy.models]))
            return KernelDensityModel.sample(model, rng)

        monkeypatch.setattr(model, "sample", sample)
    for _ in range(60):
        genotype = strategy.ask(rng)
        strategy.tell(genotype, value_of(genotype))
    states = [ready for _, ready in used]
    assert [True, False] in states and [True, True] in states
    assert all(rung == (1 if ready[1] else 0) for rung, ready in used)
