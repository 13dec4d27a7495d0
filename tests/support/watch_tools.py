"""Searches that are watched while they run in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import nas.cli.jobs.search
from nas.searches.base import Search, SupernetSearch
from tests.support.compose_tools import composed


class Watched:
    """Search of a run, with its initial parameters and its losses by phase."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.before = {name: p.detach().clone() for name, p in search.named_parameters()}
        self.losses: dict[str, list[float]] = {}
        if isinstance(search, SupernetSearch):
            search.observers.append(lambda seen: self.losses.setdefault(seen.phase, []).append(float(seen.loss)))

    def moved(self, prefix: str) -> dict[str, bool]:
        """Return for each parameter with this prefix that still exists whether it has changed."""
        after: dict[str, Tensor] = dict(self.search.named_parameters())
        return {n: not torch.equal(p, after[n]) for n, p in self.before.items() if n.startswith(prefix) and n in after}


def run_watched(monkeypatch: pytest.MonkeyPatch, output: Path, *overrides: str) -> Watched:
    """Run a search of one epoch in this process."""
    found: list[Watched] = []
    build = nas.cli.jobs.search.build_search

    def build_watched(*args: Any) -> Search:
        found.append(Watched(build(*args)))
        return found[0].search

    monkeypatch.setattr(nas.cli.jobs.search, "build_search", build_watched)
    with composed("search", *overrides, "trainer.max_epochs=1", f"paths.output={output}") as cfg:
        if "arch_step" in cfg.method:
            cfg.method.arch_step.warmup_epochs, cfg.method.arch_step.every = 0, 1
        for schedule in cfg.method.get("callbacks", []):
            if "final" in schedule:
                schedule.final = 3
            if "entropy_weight" in schedule:
                schedule.steps, schedule.samples = 2, 3
        if "repeats" in cfg.method:
            cfg.method.repeats, cfg.method.ntk_batch = 1, 2
            cfg.method.proxies[1].batch_size = 50
        nas.cli.jobs.search.run(cfg)
    return found[0]
