"""Compiled time steps of recurrent cells: equal results and random numbers, through the front door too."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import EdgeWeights, one_hot_weights, sample_cell
from nas.nn.chunk import Chunk
from nas.spaces.recurrent.cell import RecurrentCell
from nas.spaces.recurrent.network import LanguageModel
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.recurrent.step_compiler import MAX_STRUCTURES, StepCompiler, recurrent_cells, remove_step_compiler
from tests.support.compose_tools import TEXT, lines, small
from tests.support.error_tools import run
from tests.support.resume_tools import checkpoint

SPACE = Recurrent((), 7, hidden_size=4, nodes=2)
CELL = SPACE.cells["recurrent"]
GENOTYPE = "Genotype(recurrent=[('relu', 0), ('tanh', 1)], concat=range(1, 3))"
BACKEND = "aot_eager"
TRACED = ("compile=true", f"callbacks.compile.backend={BACKEND}")
QUIET = ("~callbacks.cell_plots",)


def mixture(seed: int = 0) -> dict[str, EdgeWeights]:
    alpha = torch.randn(len(CELL.edges), len(CELL.ops), generator=torch.Generator().manual_seed(seed))
    return {"recurrent": EdgeWeights(alpha.softmax(-1).requires_grad_(), CELL.allowed().tolist())}


def language_model(searched: bool) -> LanguageModel:
    torch.manual_seed(0)
    found = SPACE.supernet() if searched else SPACE.network(SPACE.parse(GENOTYPE), hidden_size=4)
    assert isinstance(found, LanguageModel)
    return found


def passes(network: LanguageModel, arch: Any) -> dict[str, Tensor]:
    """Return logits, gradients and buffers after two chunks of different lengths, and the next random number."""
    torch.manual_seed(1)
    for number, length in enumerate((4, 3)):
        logits = network(Chunk(torch.arange(length * 3).reshape(length, 3) % 7, "train", number), arch)
        logits.square().mean().backward()
    found = {f"grad {name}": parameter.grad for name, parameter in network.named_parameters()}
    found |= {name: buffer.clone().float() for name, buffer in network.named_buffers()}
    found["logits"], found["random"] = logits, torch.rand(3)
    if arch is not None:
        found["alpha"] = arch["recurrent"].op.grad
    return {name: value.detach() for name, value in found.items() if value is not None}


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the compiled time steps."""
    recorded: list[str] = []
    original = StepCompiler.time_step

    def time_step(self: StepCompiler, cell: RecurrentCell, *arguments: Any) -> Tensor:
        recorded.append(type(cell).__name__)
        return original(self, cell, *arguments)

    monkeypatch.setattr(StepCompiler, "time_step", time_step)
    return recorded


@pytest.mark.parametrize("searched", [True, False], ids=["search", "genotype"])
def test_compiled_steps_equal_eager_ones(searched: bool, steps: list[str]) -> None:
    eager = passes(language_model(searched), mixture() if searched else None)
    network = language_model(searched)
    names = list(network.state_dict())
    StepCompiler(BACKEND).install(network)
    compiled = passes(network, mixture() if searched else None)
    assert len(steps) == 3 + 2, "all time steps but the first one of each chunk"
    assert eager.keys() == compiled.keys() and names == list(network.state_dict())
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-5, atol=1e-6, msg=name)
    assert torch.equal(eager["random"], compiled["random"])
    with torch.no_grad():
        network(torch.arange(3), mixture() if searched else None)
    network.eval()
    network(Chunk(torch.zeros(2, 3, dtype=torch.long), "val", 0), mixture() if searched else None)
    assert len(steps) == 5, "passes without gradients and evaluation run eagerly"
    remove_step_compiler(network)
    assert all(cell.executor is None for cell in recurrent_cells(network))


def test_sampled_ops_and_the_ninth_mixture_run_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    cell = recurrent_cells(language_model(searched=True))[0]
    compiler, h = StepCompiler(lambda graph, inputs: graph), torch.zeros(3, 4, requires_grad=True)

    def accepted(arch: Any) -> bool:
        return compiler.accepts(cell, h, cell.plan(arch, h))

    sampled = one_hot_weights(CELL, sample_cell(CELL, random.Random(0)), like=torch.zeros(()))
    assert not accepted({"recurrent": sampled})
    assert accepted(mixture()) and accepted(mixture(seed=1)), "other weights are the same structure"
    assert not compiler.accepts(cell, h.detach(), cell.plan(mixture(), h)), "first time step"
    results = []
    for first in range(3):
        for second in range(3):
            active = CELL.allowed().tolist()
            active[0][1 + first] = active[1][1 + second] = active[2][1 + second] = False
            results.append(accepted({"recurrent": EdgeWeights(mixture()["recurrent"].op, active)}))
    assert results == [True] * (MAX_STRUCTURES - 1) + [False] * 2
    assert accepted(mixture())


@pytest.mark.parametrize("method", ["darts", pytest.param("darts_2nd", marks=pytest.mark.slow)])
def test_compiled_search_resumes_eagerly(method: str, tmp_path: Path, steps: list[str]) -> None:
    given = [f"method={method}", *small("recurrent"), *TEXT, *QUIET, "method.weight_step.optimizer.lr=1", "epochs=2"]
    run("search", *given, f"hydra.run.dir={tmp_path}/eager").succeeded()
    assert steps == []
    half = checkpoint(tmp_path / "eager")["global_step"] // 2
    run("search", *given, *TRACED, f"trainer.max_steps={half}", f"hydra.run.dir={tmp_path}/compiled")
    assert len(steps) > 20 and set(steps) == {"SearchCell"}
    count = len(steps)
    run("search", f"ckpt_path={tmp_path}/compiled", "compile=false", "trainer.max_steps=-1").succeeded()
    assert len(steps) == count
    assert_same_losses(tmp_path / "eager", tmp_path / "compiled")


def test_compiled_training_equals_an_eager_one(tmp_path: Path, steps: list[str]) -> None:
    given = [f'genotype="{GENOTYPE}"', *TEXT, "network.hidden_size=4", "epochs=2", "text_training.optimizer.lr=1"]
    run("train", *given, f"hydra.run.dir={tmp_path}/eager").succeeded()
    run("train", *given, *TRACED, f"hydra.run.dir={tmp_path}/compiled").succeeded()
    assert len(steps) > 30 and set(steps) == {"GenotypeCell"}
    found = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("eager", "compiled")]
    for key in ("val_perplexity", "test_perplexity"):
        assert found[0][key] == pytest.approx(found[1][key], rel=1e-4)
    saved = [torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("eager", "compiled")]
    assert saved[0]["state_dict"].keys() == saved[1]["state_dict"].keys()


def test_compile_true_of_sampled_ops_is_refused(tmp_path: Path) -> None:
    given = ["method=gdas", *small("recurrent"), *TEXT, "compile=true", f"hydra.run.dir={tmp_path}"]
    run("search", *given).refused("compile=true: this search has no edges to compile: it samples ops", "compile=auto")


@pytest.mark.slow
def test_inductor_equals_eager_steps() -> None:
    eager = passes(language_model(True), mixture())
    network = language_model(True)
    StepCompiler().install(network)
    for name, value in passes(network, mixture()).items():
        torch.testing.assert_close(value, eager[name], rtol=1e-4, atol=1e-5, msg=name)


def assert_same_losses(first: Path, second: Path) -> None:
    one, other = lines(first / "history.jsonl"), lines(second / "history.jsonl")
    assert len(one) == len(other) == 2
    for before, after in zip(one, other, strict=True):
        for key in ("train/loss", "val/loss"):
            assert before[key] == pytest.approx(after[key], rel=1e-4)
