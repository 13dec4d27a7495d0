"""Small surrogate models in the layout of NAS-Bench-301, and their predictions.

The models in ``nb_models`` are boosters of XGBoost 1.0.2 and 1.2.1 and of LightGBM 2.3.1, pickled as in the release.
They were trained on feature vectors of 220 genotypes with invented accuracies and training times.
``predictions.json`` has the predictions of these libraries for 12 other genotypes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from nas.benchmarks.convert import convert

MODELS = Path(__file__).with_name("nb_models")


class Expected(NamedTuple):
    """Predictions of each model for one genotype."""

    genotype: str
    accuracy: list[float]
    seconds: list[float]


def expected_predictions() -> list[Expected]:
    """Return the predictions by the libraries that trained the models."""
    return [Expected(**entry) for entry in json.loads((MODELS / "predictions.json").read_text())["predictions"]]


def write_benchmark(directory: Path) -> Path:
    """Convert the small models to a file in a directory."""
    convert(MODELS, directory / "nas_bench_301.parquet")
    return directory / "nas_bench_301.parquet"
