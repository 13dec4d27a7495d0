"""Golden tests of counts, DSNAS' early fixing and Single Path One-Shot's evolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import Genotype
from nas.blackbox.strategies.constrained_evolution import Candidate, ConstrainedEvolution
from nas.callbacks.schedules.early_fixing import FixedRows, fix_rows
from nas.nn.macs import count_macs, count_parameters
from nas.spaces.single_path.chain import chain_from_ops, chain_ops
from nas.spaces.single_path.shufflenet_v2 import UNITS, ShuffleNetV2Space
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, golden_names

pytestmark = pytest.mark.data

EXTRA_MACS = 1023 * 1000
"""DSNAS counts the additions of the classifier, too."""


def genotype_of(space: ShuffleNetV2Space, path: Any) -> Genotype:
    return chain_from_ops(space.notation, [list(UNITS)[int(op)] for op in path])


@pytest.mark.parametrize("name", golden_names("mobile_counts"))
def test_counts_match_both_programs(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare = Comparison(stored)
    space = ShuffleNetV2Space((3, 224, 224), 1000)
    millions = (np.array(space.op_macs) / 1e6).astype(np.float32)  # that program stores float32
    compare.equal("block_macs", np.rint(millions.astype(np.float64) * 1e6).astype(np.int64))
    found = []
    for number, path in enumerate(stored.arrays["archs"]):
        genotype = genotype_of(space, path)
        with torch.device("meta"):
            network = space.network(genotype)
        norms = sum(p.numel() for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters())
        macs = space.macs(genotype)
        if number < 2:
            assert macs == count_macs(network, space.shape), "the table agrees with a pass of the network"
        found.append((macs, count_parameters(network), norms, (macs + EXTRA_MACS) / 1e6))
    for output, values in zip(
        ("macs", "params", "params_bn", "dsnas_flops_M64"), zip(*found, strict=True), strict=True
    ):
        compare.equal(output, np.array(values))
    compare.finish()


@pytest.mark.parametrize("name", golden_names("mobile_fix_rule"))
def test_fix_rule_matches_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare, before = Comparison(stored), stored.tensor("alpha_before")
    mask = torch.ones(before.shape[1:], dtype=torch.bool)
    rows = FixedRows(torch.zeros(before.shape[1], dtype=torch.bool), torch.zeros(before.shape[1:]))
    after: list[Tensor] = []
    fixed: list[Tensor] = []
    for alpha in before:
        after.append(alpha.clone())
        rows = fix_rows(after[-1], mask, rows, margin=0.3)
        fixed.append(torch.where(rows.fixed, rows.alpha.argmax(dim=-1), -1))
    compare.equal("alpha_after", torch.stack(after))
    compare.equal("fixed_op", torch.stack(fixed))
    compare.finish()


class NumpyDraws:
    """Random numbers of NumPy's legacy generator, as in the authors' program."""

    def __init__(self, seed: int) -> None:
        self.state = np.random.RandomState(seed)

    def integer(self, size: int) -> int:
        return int(self.state.randint(size))

    def uniform(self) -> float:
        return float(self.state.random_sample())


class TableSpace(ShuffleNetV2Space):
    """A chain with given costs."""

    def __init__(self, costs: Any) -> None:
        super().__init__((3, 8, 8), 10, widths=[64], depths=[len(costs)], strides=[2])
        self.costs = costs

    def macs(self, genotype: Genotype) -> int:
        return sum(int(row[list(UNITS).index(op)]) for row, op in zip(self.costs, chain_ops(genotype), strict=True))


@pytest.mark.parametrize("name", golden_names("mobile_evolution"))
def test_evolution_matches_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare, given = Comparison(stored), stored.entry["constructor"]
    space = TableSpace(stored.arrays["macs"])
    assert given["ops"] == len(UNITS)
    evolution = ConstrainedEvolution(
        space,
        population=given["population"],
        parents=given["select"],
        mutations=given["mutation"],
        crossovers=given["crossover"],
        gene_probability=given["m_prob"],
        max_macs=given["limit"],
    )
    draws = NumpyDraws(given["np_seed"])
    asked = evolution.candidates(draws)
    evaluated: list[Candidate] = []
    errors: list[tuple[float, float]] = []
    for _ in range(given["population"] * (given["epochs"] + 1)):
        genotype = next(asked)
        genes = tuple(list(UNITS).index(op) for op in chain_ops(genotype))
        first, fifth = (
            sum(float(row[gene]) for row, gene in zip(stored.arrays[f"err{k}_64"], genes, strict=True)) for k in (1, 5)
        )
        evaluated.append(genes)
        errors.append((first, fifth))
        evolution.tell_result(genotype, -first, -fifth)
    compare.equal("evaluated", np.array(evaluated))
    compare.equal("populations", np.array([one.population for one in evolution.rounds]))
    compare.equal("top_select", np.array([one.parents for one in evolution.rounds]))
    compare.equal("top50", np.array([one.candidate for one in evolution.ranked[:50]]))
    compare.equal("last_unranked_population", np.array(evolution.members))
    compare.equal("exported", np.array(evaluated[min(range(len(errors)), key=errors.__getitem__)]))
    compare.equal("next_random64", np.array([draws.uniform() for _ in range(3)]))
    compare.finish()
