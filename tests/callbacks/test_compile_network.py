"""nas.callbacks.compile_network and the memory format of trainings: modes, refusals, resume."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

import nas.callbacks.compile_network
import nas.callbacks.compile_switch
import nas.callbacks.execution_switch
import nas.nn.network_compiler
from nas.callbacks.compile_network import CompileNetwork
from nas.nn.compile_cost import CompileEstimate
from nas.nn.network_compiler import NetworkCompiler
from nas.spaces.genotype_file import load_genotype
from nas.spaces.registry import space_of
from nas.training.network_training import Training
from nas.utils.errors import NasError
from tests.support.compile_tools import record_pieces
from tests.support.error_tools import NB201, TRAIN, run

NETWORK = (f"genotype='{NB201}'", *TRAIN)


def weights(directory: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(directory / "model.pt", weights_only=True)["state_dict"]
    return found


def assert_close(one: Path, other: Path) -> None:
    pairs = zip(weights(one).values(), weights(other).values(), strict=True)
    assert all(torch.allclose(a, b, rtol=1e-3, atol=1e-4) for a, b in pairs)


@pytest.fixture
def pieces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run pieces without a compiler, and record them."""
    monkeypatch.setattr(nas.callbacks.compile_switch, "find_compiler_error", lambda *_: None)
    return record_pieces(monkeypatch)


def test_compiled_training_equals_eager_training_and_resumes_eagerly(tmp_path: Path, pieces: list[str]) -> None:
    options = (*NETWORK, "epochs=2", "ema=0.9", "training.drop_path=0")
    run("train", *options, "compile=false", f"hydra.run.dir={tmp_path}/eager").succeeded()
    assert pieces == []
    run("train", *options, "compile=true", "trainer.max_steps=4", f"hydra.run.dir={tmp_path}/compiled")
    assert pieces.count("_node") == 4 * 3 * 3 and pieces.count("_block") == 4 * 4, "four steps, and no evaluation"
    run("train", f"ckpt_path={tmp_path}/compiled", "compile=false", "trainer.max_steps=-1").succeeded()
    assert_close(tmp_path / "eager", tmp_path / "compiled")


@pytest.mark.parametrize("pays", [False, True])
def test_auto_compiles_long_trainings(pays: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    estimates = []

    def estimate(*arguments: Any) -> CompileEstimate:
        estimates.append(original(*arguments))
        return CompileEstimate(1000.0, 10.0, 0.2) if pays else estimates[-1]

    original = nas.callbacks.compile_network.estimate_network_compile
    monkeypatch.setattr(nas.callbacks.compile_network, "estimate_network_compile", estimate)
    monkeypatch.setattr(nas.callbacks.compile_switch, "find_compiler_error", lambda *_: "no compiler here")
    found = run("train", *NETWORK, f"hydra.run.dir={tmp_path}/auto")
    found.succeeded()
    assert ("compile        up to 10 s, which saves about 200 s of 1000 s" in found.said) == pays
    assert ("steps run eagerly: no compiler here" in found.said) == pays
    assert len(estimates) == 1 and estimates[0].eager < 10 < estimates[0].cost


def test_auto_compiles_no_depthwise_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nas.callbacks.compile_network, "count_run_macs", lambda *_: 1e18)
    monkeypatch.setattr(nas.callbacks.compile_network, "saves_time", lambda trainer, estimate: estimate.pays)
    found = {}
    for name in ("DARTS_V2", NB201):
        genotype = load_genotype(name)
        network = space_of(genotype, (3, 32, 32), 10).network(genotype)
        module = Training(network, optimizer=partial(torch.optim.SGD, lr=0.1))
        found[name] = CompileNetwork().pays(pl.Trainer(logger=False), module)
    assert found == {"DARTS_V2": False, NB201: True}


def test_memory_format_of_a_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats: list[bool] = []
    original = Training.on_train_epoch_end

    def record(self: Training) -> None:
        original(self)
        kernels = [p for p in self.network.parameters() if p.dim() == 4 and p.shape[1] > 1 and p.shape[2] > 1]
        assert len({p.is_contiguous(memory_format=torch.channels_last) for p in kernels}) == 1
        formats.append(kernels[0].is_contiguous(memory_format=torch.channels_last))

    monkeypatch.setattr(Training, "on_train_epoch_end", record)
    for name, mode in (("plain", "false"), ("true", "true"), ("auto", "auto")):
        run("train", *NETWORK, f"channels_last={mode}", f"hydra.run.dir={tmp_path}/{name}").succeeded()
    assert formats == [False, True, False]
    assert_close(tmp_path / "plain", tmp_path / "true")
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("plain", "auto")]
    assert summaries[0]["test_loss"] == summaries[1]["test_loss"], "the estimate draws no random number"
    monkeypatch.setattr(nas.callbacks.execution_switch, "LONG", 0.0)
    run("train", *NETWORK, f"hydra.run.dir={tmp_path}/long").succeeded()
    assert formats[-1]


def test_what_cannot_be_compiled_is_one_line(tmp_path: Path) -> None:
    for value in (7, "yes please", None):
        with pytest.raises(NasError, match=f"compile={value}: use auto, true or false"):
            CompileNetwork(value)  # type: ignore[arg-type]
    more = ("compile=true", "activation_checkpointing=true")
    found = run("train", *NETWORK, *more, f"hydra.run.dir={tmp_path}/r")
    found.refused("compile=true: compiled cells do not support activation_checkpointing=true", "compile=false")
    old = run("train", *NETWORK, "training.channels_last=true", f"hydra.run.dir={tmp_path}/r")
    old.refused("training.channels_last was renamed to channels_last")


def test_bf16_training_keeps_the_memory_format(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: list[str]
) -> None:
    seen: list[tuple[torch.dtype, bool]] = []
    original = NetworkCompiler.node

    def node(self: NetworkCompiler, graph: Any, incoming: Any, features: Any) -> Any:
        out = original(self, graph, incoming, features)
        assert out is None or out.dtype == torch.bfloat16
        if out is not None:
            seen.append((out.dtype, out.is_contiguous(memory_format=torch.channels_last)))
        return out

    monkeypatch.setattr(NetworkCompiler, "node", node)
    more = ("compile=true", "channels_last=true", "trainer.precision=bf16-mixed", "trainer.limit_train_batches=1")
    run("train", *NETWORK, *more, f"hydra.run.dir={tmp_path}/r").succeeded()
    assert set(seen) == {(torch.bfloat16, True)}
