"""Choices of a latency measurement: runtimes, precisions, statistics and predictors."""

from __future__ import annotations

from typing import Literal

Backend = Literal["torch", "onnxruntime"]
Statistic = Literal["median", "low"]
Kind = Literal["sum", "ridge"]
KINDS: tuple[Kind, ...] = ("sum", "ridge")
"""Predictors, see ``LatencyPredictor``."""
PRECISIONS = ("32", "16", "bf16")
"""Precisions of the weights and activations."""
MIN_RUNS = 3
"""Fewest timed passes."""
FOLDS = 5
"""Parts of the random networks in the cross-validation of a predictor, and the fewest networks."""
