"""Prediction of the latency of a genotype from a table of ops and whole networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nas.architecture.cell import Genotype
from nas.latency.choices import FOLDS, KINDS, Kind
from nas.latency.count import PartCounter
from nas.latency.parts import PartKey
from nas.latency.table import LatencyTable
from nas.spaces.base import Space
from nas.utils.errors import NasError, unknown

ALPHAS = np.logspace(-3, 4, 15)
"""Strengths of the ridge regression, among which leave-one-out validation selects."""


class PredictionError(NamedTuple):
    """Agreement of predicted with measured latencies of networks that the predictor was not fitted to.

    Attributes:
        networks: number of networks.
        mean_ms: mean absolute error in milliseconds.
        mean_percent: mean absolute error in percent of the measured latency.
        kendall: Kendall's tau-b.
        spearman: Spearman's rank correlation.
    """

    networks: int
    mean_ms: float
    mean_percent: float
    kendall: float
    spearman: float


class LatencyPredictor:
    """Latency of the network of a genotype in milliseconds. Implements ``GenotypeCost``.

    ``sum`` adds the measured latencies of the parts and a constant, the mean difference to the measured networks.
    ``ridge`` also corrects the latency of each part by a ridge regression of these differences on the latencies that
    the parts contribute. The correction of a part that the networks hardly determine remains small.

    Args:
        table: measured latencies.
        space: search space of the table.
        kind: ``sum`` or ``ridge``; None is the predictor of the table.

    Raises:
        NasError: if the table is of another space, shape or number of classes, or has no networks.
    """

    name = "latency_ms"
    unit = "ms"

    def __init__(self, table: LatencyTable, space: Space, kind: Kind | None = None) -> None:
        kind = table.predictor if kind is None else kind
        _check(table, space, kind)
        self.table = table
        self.count = PartCounter(space, table.network, prune=table.setup.backend == "onnxruntime")
        self._known: dict[Genotype, float] = {}
        networks = list(table.networks)
        measured = np.array([table.latency(table.networks[genotype]) for genotype in networks])
        self.constant, self.weights = _fit([self.counts(genotype) for genotype in networks], measured, table, kind)

    @property
    def conditions(self) -> dict[str, Any]:
        """Conditions under which a measured latency can be compared, empty for another runtime than PyTorch."""
        setup = self.table.setup
        same = setup.backend == "torch" and setup.precision == "32"
        device = setup.device.partition(":")[0]
        return {"batch": setup.batch, "device": device, "statistic": setup.statistic} if same else {}

    def counts(self, genotype: Genotype) -> Counter[PartKey]:
        """Return the number of parts by key. Raises NasError if the table lacks one of them."""
        counts = self.count(genotype)
        for key in counts:
            if key not in self.table.ops:
                raise NasError(
                    f"latency table: it has no {key.op} from {_size(key.inputs)} to {_size(key.outputs)}. Measure a "
                    "table of this space by nas-search latency."
                )
        return counts

    def __call__(self, genotype: Genotype) -> float:
        if genotype not in self._known:
            self._known[genotype] = _predict(self.counts(genotype), self.constant, self.weights)
        return self._known[genotype]


def prediction_error(measured: NDArray[np.float64], predicted: NDArray[np.float64]) -> PredictionError:
    """Compare measured and predicted latencies [networks] in milliseconds."""
    from scipy import stats  # imported here, because it takes longer than the import of this package

    errors = np.abs(predicted - measured)
    return PredictionError(
        len(measured),
        float(errors.mean()),
        float(100 * (errors / measured).mean()),
        float(stats.kendalltau(predicted, measured).statistic),
        float(stats.spearmanr(predicted, measured).statistic),
    )


def held_out_predictions(
    table: LatencyTable, space: Space, kind: Kind
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return measured and predicted latencies [networks] in milliseconds; no prediction used its own network."""
    predictor = LatencyPredictor(table, space, kind)
    networks = list(table.networks)
    if len(networks) < FOLDS:
        raise NasError(f"networks={len(networks)}: the error on held-out networks needs at least {FOLDS}.")
    counts = [predictor.counts(genotype) for genotype in networks]
    measured = np.array([table.latency(table.networks[genotype]) for genotype in networks])
    predicted = np.empty_like(measured)
    for fold in range(FOLDS):  # the networks are in random order
        held = np.arange(len(networks)) % FOLDS == fold
        kept = [counts[number] for number in np.flatnonzero(~held)]
        constant, weights = _fit(kept, measured[~held], table, kind)
        predicted[held] = [_predict(counts[number], constant, weights) for number in np.flatnonzero(held)]
    return measured, predicted


def _fit(
    counts: Sequence[Counter[PartKey]], measured: NDArray[np.float64], table: LatencyTable, kind: Kind
) -> tuple[float, Mapping[PartKey, float]]:
    """Return the constant and the latency of each part in milliseconds."""
    keys = list(table.ops)
    single = np.array([table.latency(table.ops[key]) for key in keys])
    contributed = np.array([[count[key] for key in keys] for count in counts]) * single  # [networks, parts], ms
    difference = measured - contributed.sum(axis=1)
    factors = np.ones(len(keys))
    constant = float(difference.mean())
    if kind == "ridge" and len(measured) > 2 and contributed.any():
        from sklearn.linear_model import RidgeCV  # imported here, because it takes longer than this package

        scale = contributed.std() or 1.0
        model = RidgeCV(alphas=ALPHAS).fit(contributed / scale, difference)
        factors = np.maximum(1 + model.coef_ / scale, 0)
        constant = float(model.intercept_)
    return constant, dict(zip(keys, (factors * single).tolist(), strict=True))


def _predict(counts: Counter[PartKey], constant: float, weights: Mapping[PartKey, float]) -> float:
    return max(0.0, constant + sum(number * weights[key] for key, number in counts.items()))


def _check(table: LatencyTable, space: Space, kind: str) -> None:
    if kind not in KINDS:
        raise unknown("latency predictor", kind, KINDS)
    if table.notation != space.notation:
        raise NasError(f"latency table: it is of space '{table.notation}', and space={space.name} is another one.")
    for name, of_table, of_space in (
        ("images", list(table.shape), list(space.shape)),
        ("classes", table.classes, space.classes),
    ):
        if of_table != of_space:
            raise NasError(
                f"latency table: measured with {name} {of_table}, and the search has {of_space}. Measure one with the "
                "data set and the options of the search."
            )
    if not table.networks:
        raise NasError("latency table: it has no whole networks, from which the constant is fitted. Measure a table.")


def _size(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
