"""Compiled searches through the front door: equal to eager ones, resumed eagerly, and chosen by an estimate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

import nas.callbacks.compile
import nas.callbacks.compile_switch
from nas.callbacks.compile import CompileEdges
from nas.callbacks.compile_network import CompileNetwork
from nas.nn.compile_cost import CompileEstimate
from nas.nn.edges.compiler import EdgeCompiler
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.utils.errors import NasError
from tests.support.error_tools import SEARCH, run

DARTS = (*SEARCH, "method=darts", "epochs=2")
TRACED = ("compile=true", "callbacks.compile.backend=aot_eager")


def losses(directory: Path) -> list[dict[str, float]]:
    """Return the losses of each epoch."""
    lines = (directory / "history.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key.endswith("/loss")} for line in lines]


def assert_close(first: Path, second: Path) -> None:
    assert len(losses(first)) == len(losses(second)) == 2
    for one, other in zip(losses(first), losses(second), strict=True):
        assert one == pytest.approx(other, rel=2e-4)


def test_compiled_search_equals_eager_search_and_resumes_eagerly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[int] = []
    original = EdgeCompiler.mixture

    def mixture(self: EdgeCompiler, edge: MixedEdge, x: Tensor, row: EdgeRow) -> Tensor | None:
        compiled.append(len(x))
        return original(self, edge, x, row)

    monkeypatch.setattr(EdgeCompiler, "mixture", mixture)
    run("search", *DARTS, f"hydra.run.dir={tmp_path}/eager").succeeded()
    assert compiled == []
    run("search", *DARTS, *TRACED, "trainer.max_steps=2", f"hydra.run.dir={tmp_path}/compiled")
    assert compiled == [16] * 2 * 2 * 3 * 6, "two steps on weights and on alpha, three cells of six edges"
    assert len(losses(tmp_path / "compiled")) == 1
    run("search", f"ckpt_path={tmp_path}/compiled", "compile=false", "trainer.max_steps=-1").succeeded()
    assert_close(tmp_path / "eager", tmp_path / "compiled")
    states = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("eager", "compiled")]
    assert states[0]["genotype"] == states[1]["genotype"]


@pytest.mark.parametrize("pays", [False, True])
def test_auto_compiles_long_runs_and_leaves_short_ones_unchanged(
    pays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimates = []

    def estimate(*arguments: Any) -> CompileEstimate:
        estimates.append(original(*arguments))
        return CompileEstimate(1000.0, 10.0) if pays else estimates[-1]

    original = nas.callbacks.compile.estimate_compile
    monkeypatch.setattr(nas.callbacks.compile, "estimate_compile", estimate)
    monkeypatch.setattr(nas.callbacks.compile_switch, "find_compiler_error", lambda *_: "no compiler here")
    snas = (*SEARCH, "method=snas", "epochs=2", "~callbacks.cell_plots")
    found = run("search", *snas, "compile=auto", f"hydra.run.dir={tmp_path}/auto")
    found.succeeded()
    assert ("compile        up to 10 s, which saves about 60 s of 1000 s" in found.said) == pays
    assert ("steps run eagerly: no compiler here" in found.said) == pays
    assert len(estimates) == 1 and estimates[0].eager < 10 < estimates[0].cost
    run("search", *snas, "compile=false", f"hydra.run.dir={tmp_path}/eager").succeeded()
    assert losses(tmp_path / "auto") == losses(tmp_path / "eager"), "the estimate draws no random number"


@pytest.mark.parametrize("kind", [CompileEdges, CompileNetwork])
def test_unknown_backends_are_refused(kind: type[CompileEdges | CompileNetwork]) -> None:
    with pytest.raises(NasError, match="^unknown callbacks.compile.backend 'inductr': did you mean 'inductor'"):
        kind(backend="inductr")
    with pytest.raises(NasError, match="^unknown callbacks.compile.backend 'aot_eagr': did you mean 'aot_eager'"):
        kind(backend="aot_eagr")
    assert kind(backend="aot_eager").backend == "aot_eager", "backends for debugging are accepted"


def test_wrong_values_and_searches_with_nothing_to_compile_are_one_line(tmp_path: Path) -> None:
    for value in (7, "yes please", None):
        with pytest.raises(NasError, match=f"compile={value}: use auto, true or false"):
            CompileEdges(value)  # type: ignore[arg-type]
    found = run(
        "search", *SEARCH, "method=random_search", "proxy=params", "compile=true", f"hydra.run.dir={tmp_path}/r"
    )
    found.refused("compile=true", "compile=auto")
