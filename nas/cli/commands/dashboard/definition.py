"""Panels of the dashboard, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EPOCH, STEP = "epoch", "trainer/global_step"
PERCENT, PROBABILITY = (0.0, 100.0), (0.0, 1.0)

Kind = Literal["line", "area", "media", "bar"]


@dataclass(frozen=True)
class PanelSpec:
    """A panel of a dashboard.

    Attributes:
        title: title of the panel.
        metrics: names of the metrics or pictures.
        kind: lines, stacked areas in percent, pictures with a slider over the epochs, or bars of final values.
        axis: metric of the x axis.
        limits: range of the y axis; None: the range of the values.
        pattern: regular expression of further metrics; None: only ``metrics``.
    """

    title: str
    metrics: tuple[str, ...]
    kind: Kind = "line"
    axis: str = EPOCH
    limits: tuple[float, float] | None = None
    pattern: str | None = None


@dataclass(frozen=True)
class SectionSpec:
    """A section of a dashboard."""

    name: str
    panels: tuple[PanelSpec, ...]


SECTIONS = (
    SectionSpec(
        "Result",
        (
            PanelSpec("Validation accuracy of the derived network (%)", ("val/accuracy",), limits=PERCENT),
            PanelSpec("Test accuracy of the final network (%)", ("test/accuracy",), limits=PERCENT),
            PanelSpec("Benchmark accuracy of the current genotype (%)", ("benchmark/valid", "benchmark/test")),
            PanelSpec("Final validation accuracy (%)", ("val_accuracy",), "bar"),
            PanelSpec("Final test accuracy (%)", ("test_accuracy",), "bar"),
            PanelSpec("Perplexity of language models", ("val/perplexity", "test/perplexity")),
            PanelSpec("Final test perplexity", ("test_perplexity",), "bar"),
            PanelSpec("Parameters of the final network", ("parameters",), "bar"),
        ),
    ),
    SectionSpec(
        "Architecture",
        (
            PanelSpec("Cell", ("cell",), "media"),
            PanelSpec("Op scores", ("scores",), "media"),
            PanelSpec("Op scores over epochs", ("evolution",), "media"),
            PanelSpec("Skip connections of the genotype", ("ops/skip_connect",)),
            PanelSpec("Ops of the genotype (share)", ("ops/skip_connect",), "area", pattern="^ops/"),
            PanelSpec("Entropy of the edges (nats)", ("entropy",)),
            PanelSpec("Largest Hessian eigenvalue", ("eigenvalue",)),
            PanelSpec("Temperature", ("tau",)),
        ),
    ),
    SectionSpec(
        "Losses and accuracies of the halves",
        (
            PanelSpec("Loss", ("train/loss", "arch/loss", "val/loss")),
            PanelSpec("Accuracy (%)", ("train/accuracy", "arch/accuracy", "val/accuracy"), limits=PERCENT),
            PanelSpec("Loss per step", ("step/train_loss", "step/arch_loss"), axis=STEP),
            PanelSpec(
                "Accuracy per step (%)", ("step/train_accuracy", "step/arch_accuracy"), axis=STEP, limits=PERCENT
            ),
            PanelSpec("Perplexity", ("train/perplexity", "arch/perplexity", "val/perplexity")),
            PanelSpec("Perplexity per step", ("step/train_perplexity", "step/arch_perplexity"), axis=STEP),
            PanelSpec("Learning rates", ("step/weights_lr", "step/arch_lr", "step/learning_rate"), axis=STEP),
        ),
    ),
    SectionSpec(
        "Speed and memory",
        (
            PanelSpec("Time per step (ms)", ("time/step_ms",), axis=STEP),
            PanelSpec("Time per epoch (s)", ("time/epoch_s",)),
            PanelSpec("Memory (GB)", ("memory/used_gb",), axis=STEP),
            PanelSpec("Peak memory (GB)", ("memory/peak_gb",)),
        ),
    ),
    SectionSpec(
        "Sweeps",
        (
            PanelSpec("Validation accuracy by configuration", ("plots/val_accuracy",), "media"),
            PanelSpec("Test accuracy by configuration", ("plots/test_accuracy",), "media"),
            PanelSpec("Validation perplexity by configuration", ("plots/val_perplexity",), "media"),
            PanelSpec("Test perplexity by configuration", ("plots/test_perplexity",), "media"),
        ),
    ),
)
"""Sections of the dashboard. A panel is empty if no selected run has its metrics."""

COLUMNS = (
    *("summary:val_accuracy", "summary:test_accuracy", "summary:val_perplexity", "summary:test_perplexity"),
    *("summary:parameters", "config:method.name", "config:seed"),
)
"""Columns of the table of runs, beside the name."""
