"""Predictors on tables of known latencies."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from nas.architecture.cell import Genotype
from nas.architecture.cost import GenotypeCost
from nas.latency.choices import Kind
from nas.latency.parts import PartKey, addition
from nas.latency.predictor import LatencyPredictor, held_out_predictions, prediction_error
from nas.latency.table import LatencySetup, LatencyTable
from nas.latency.timing import Timing
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.errors import NasError
from tests.support.latency_tools import OPTIONS, SHAPES, SINGLE, SPACE, make_table, op_counts_of


def test_sum_adds_the_ops_and_the_mean_difference() -> None:
    table = make_table(networks=8, latency=lambda counts: 2.0 + sum(counts[key] * SINGLE[key] for key in counts))
    predictor = LatencyPredictor(table, SPACE, "sum")
    assert isinstance(predictor, GenotypeCost) and (predictor.name, predictor.unit) == ("latency_ms", "ms")
    assert predictor.constant == pytest.approx(2.0)
    genotype = SPACE.parse("|nor_conv_3x3~0|+|none~0|none~1|+|none~0|nor_conv_1x1~1|skip_connect~2|")
    expected = 2.0 + sum(
        SINGLE[PartKey(op, s, s)] for op in ("nor_conv_3x3", "nor_conv_1x1", "skip_connect") for s in SHAPES
    )
    assert predictor(genotype) == pytest.approx(expected) == predictor(genotype)
    error = prediction_error(*held_out_predictions(table, SPACE, "sum"))
    assert error.networks == 8 and error.mean_ms == pytest.approx(0, abs=1e-9)
    assert error.kendall == pytest.approx(1)


def test_ridge_corrects_ops_that_are_slower_within_networks() -> None:
    """Convolutions take twice their measured time in whole networks, and other ops half of it."""

    def latency(counts: Counter[PartKey]) -> float:
        return 1.0 + sum(n * SINGLE[key] * (2 if "conv" in key.op else 0.5) for key, n in counts.items())

    table = make_table(networks=60, latency=latency)
    plain, ridge = (prediction_error(*held_out_predictions(table, SPACE, kind)) for kind in ("sum", "ridge"))
    assert ridge.mean_ms < 0.1 * plain.mean_ms and ridge.mean_percent < 2 and ridge.kendall > plain.kendall
    rng, predictor = random.Random(9), LatencyPredictor(table, SPACE, "ridge")
    for genotype in (SPACE.sample(rng) for _ in range(10)):
        assert predictor(genotype) == pytest.approx(latency(op_counts_of(genotype)), rel=0.05)


def test_ridge_on_noise_stays_at_the_sum() -> None:
    rng = random.Random(1)
    table = make_table(
        networks=12, latency=lambda counts: 50 + rng.gauss(0, 1) + sum(n * SINGLE[k] for k, n in counts.items())
    )
    plain, ridge = (LatencyPredictor(table, SPACE, kind) for kind in ("sum", "ridge"))
    genotypes = [SPACE.sample(rng) for _ in range(20)]
    assert np.mean([abs(plain(genotype) - ridge(genotype)) for genotype in genotypes]) < 2


def test_held_out_networks_do_not_influence_their_prediction() -> None:
    """One network takes 1,000 ms more. A predictor fitted to it would change its own prediction."""
    table = make_table(networks=10, latency=lambda counts: 1.0 + sum(n * SINGLE[k] for k, n in counts.items()))
    genotype, timing = next(iter(table.networks.items()))
    slow = {**table.networks, genotype: Timing(*(ms + 1000 for ms in timing))}
    changed = LatencyTable(*(SPACE.notation, SPACE.shape, SPACE.classes, OPTIONS, table.setup, table.ops, slow))

    _, predicted = held_out_predictions(changed, SPACE, "sum")
    assert predicted[0] == pytest.approx(timing.median)


def test_errors_and_rank_correlations() -> None:
    found = prediction_error(np.array([1.0, 2.0, 4.0, 8.0]), np.array([1.5, 2.0, 8.0, 6.0]))
    # pairs: 5 concordant, 1 discordant; ranks 1 2 4 3
    assert found.mean_ms == pytest.approx((0.5 + 0 + 4 + 2) / 4) and found.mean_percent == pytest.approx(43.75)
    assert found.kendall == pytest.approx(4 / 6) and found.spearman == pytest.approx(0.8)


def test_statistic_selects_the_quantile() -> None:
    table = make_table(networks=6, latency=lambda counts: 10.0, setup=LatencySetup(statistic="low"))
    low = LatencyPredictor(table, SPACE, "sum").constant
    median = LatencyPredictor(make_table(networks=6, latency=lambda counts: 10.0), SPACE, "sum").constant
    assert low == pytest.approx(0.9 * median)


def refused(table: LatencyTable, space: NasBench201 | Darts, kind: Kind = "sum") -> str:
    with pytest.raises(NasError) as error:
        LatencyPredictor(table, space, kind)
    return str(error.value)


def test_tables_of_other_spaces_and_unknown_ops_are_refused() -> None:
    table = make_table(networks=6, latency=lambda counts: 1.0)
    assert "of space 'nas_bench_201'" in refused(table, Darts((3, 8, 8), 4))
    assert "images [3, 8, 8], and the search has [3, 16, 16]" in refused(table, NasBench201((3, 16, 16), 4))
    assert "classes 4, and the search has 7" in refused(table, NasBench201((3, 8, 8), 7))
    assert "Choose from ridge, sum" in refused(table, SPACE, "mean")  # type: ignore[arg-type]
    assert "no whole networks" in refused(make_table(networks=0, latency=lambda counts: 1.0), SPACE)
    few = {key: timing for key, timing in table.ops.items() if key.op != "skip_connect"}
    smaller = LatencyTable(*(SPACE.notation, SPACE.shape, SPACE.classes, OPTIONS, table.setup, few, table.networks))
    assert "no skip_connect from 4x8x8 to 4x8x8" in refused(smaller, SPACE)
    with pytest.raises(NasError, match="networks=4: the error on held-out networks needs at least 5"):
        held_out_predictions(make_table(networks=4, latency=lambda counts: 1.0), SPACE, "sum")


def test_a_shared_pool_costs_an_addition() -> None:
    table = make_table(networks=6, latency=lambda counts: 1.0 + sum(n * SINGLE[k] for k, n in counts.items()))
    pools = "|avg_pool_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|none~1|none~2|"
    once = "|avg_pool_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    predictor = LatencyPredictor(table, SPACE, "sum")
    added = sum(SINGLE[addition(PartKey("avg_pool_3x3", shape, shape))] for shape in SHAPES)
    assert predictor(SPACE.parse(pools)) - predictor(SPACE.parse(once)) == pytest.approx(added)


def test_genotypes_are_cached() -> None:
    table = make_table(networks=6, latency=lambda counts: 1.0)
    predictor = LatencyPredictor(table, SPACE, "sum")
    genotype: Genotype = SPACE.from_index(7)
    value = predictor(genotype)
    predictor.weights = {}
    assert predictor(genotype) == value
