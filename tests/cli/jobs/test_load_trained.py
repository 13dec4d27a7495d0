"""Weights that mode=eval and mode=export refuse: one line, and nothing is written."""

from __future__ import annotations

import sys
import types
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest
import torch

from nas.deploy.export import check_export_packages
from nas.utils.errors import NasError
from tests.support.deploy_tools import DARTS, NB201, random_model, save_random_model
from tests.support.error_tools import TINY, Outcome, run

DATA = [a for a in TINY if "batch_size" not in a]


def evaluate(tmp_path: Path, *arguments: str | Path) -> Outcome:
    """Run an evaluation that must not write any results."""
    output = tmp_path / "out"
    found = run("train", "mode=eval", *DATA, *arguments, f"hydra.run.dir={output}")
    assert not list(output.glob("*.*")) or {p.name for p in output.glob("*.*")} <= {"train.log", ".hydra"}
    return found


def saved(tmp_path: Path, value: Any) -> str:
    torch.save(value, tmp_path / "weights.pt")
    return f"weights={tmp_path}/weights.pt"


def test_load_trained_refuses_weights_of_another_architecture(tmp_path: Path) -> None:
    weights = saved(tmp_path, {"state_dict": random_model(DARTS).state})
    found = evaluate(tmp_path, weights, f"genotype={NB201}")
    found.refused("weights.pt: weights of another architecture", "missing ", "unexpected ", " and ")
    missing = found.erred.split("missing ")[1].split("; ")[0]
    assert missing.count(",") == 4, "the first five"
    other = NB201.replace("nor_conv_3x3~2", "skip_connect~2")
    evaluate(tmp_path, saved(tmp_path, random_model().state), f"genotype={other}").refused(
        "unexpected cells.0.edges.2_3.nor_"
    )


def test_load_trained_refuses_a_genotype_or_options_unlike_the_model(tmp_path: Path) -> None:
    model = save_random_model(tmp_path / "model.pt")
    evaluate(tmp_path, f"weights={model}", f"genotype={DARTS}").refused(
        "a network of another genotype, |nor_conv_3x3~0|", "Leave out"
    )
    evaluate(tmp_path, f"weights={model}", "network.channels=8").refused("network.channels=8", "built with 4", "Leave")


def test_load_trained_refuses_another_number_of_classes(tmp_path: Path) -> None:
    phrases = ["trained with 10 classes, but dataset=synthetic has 7"]
    weights = saved(tmp_path, random_model().state)
    evaluate(tmp_path, weights, f"genotype={NB201}", "dataset.classes=7").refused(*phrases)
    model = save_random_model(tmp_path / "model.pt")
    evaluate(tmp_path, f"weights={model}", "dataset.classes=7").refused(*phrases, "Use dataset=synthetic")


def test_load_trained_refuses_another_number_of_channels(tmp_path: Path) -> None:
    gray = "dataset.shape=[1,8,8]"
    weights = saved(tmp_path, random_model().state)
    evaluate(tmp_path, weights, f"genotype={NB201}", gray).refused("images of 3 channels, not 1")
    model = save_random_model(tmp_path / "model.pt")
    evaluate(tmp_path, f"weights={model}", gray).refused("images of 3x8x8", "has 1x8x8", "Use dataset=synthetic")


def test_load_trained_refuses_damaged_and_foreign_files(tmp_path: Path) -> None:
    genotype, file = f"genotype={NB201}", tmp_path / "weights.pt"
    evaluate(tmp_path, genotype, "weights=nowhere.pt").refused(
        "nowhere.pt: no such file", "the directory of a training"
    )
    whole = save_random_model(tmp_path / "model.pt").read_bytes()
    for cut in (len(whole) // 2, len(whole) - 100, 10, 0):
        file.write_bytes(whole[:cut])
        evaluate(tmp_path, genotype, f"weights={file}").refused(str(file), "is empty" if cut == 0 else "truncated")
    spoiled = bytearray(whole)
    at = whole.index(random_model().state["classifier.bias"].numpy().tobytes())
    spoiled[at] ^= 255
    file.write_bytes(bytes(spoiled))
    evaluate(tmp_path, f"weights={file}").refused("the checksum of", "does not match")
    torch.save(random_model().state, file, _use_new_zipfile_serialization=False)
    file.write_bytes(file.read_bytes()[:-500])
    evaluate(tmp_path, genotype, f"weights={file}").refused(str(file), "truncated")
    (tmp_path / "net.onnx").write_bytes(b"\x08\x0a\x12\x07pytorch")
    evaluate(tmp_path, genotype, f"weights={tmp_path}/net.onnx").refused("an ONNX file", "model.pt")
    (tmp_path / "genotype.json").write_text("{}")
    evaluate(tmp_path, f"weights={tmp_path}/genotype.json").refused("contains no weights")


def test_load_trained_refuses_files_without_a_state_dict(tmp_path: Path) -> None:
    genotype = f"genotype={NB201}"
    held = {"epoch": 3, "net": {"a": 1}}
    evaluate(tmp_path, genotype, saved(tmp_path, held)).refused("a mapping with epoch, net", "under state_dict, ")
    evaluate(tmp_path, genotype, saved(tmp_path, [1, 2])).refused("contains a list, but no state_dict")
    evaluate(tmp_path, saved(tmp_path, random_model().state)).refused("genotype: not given", "contains weights alone")


def test_load_trained_names_python_objects_and_does_not_run_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = namedtuple("Genotype", "normal reduce")
    module = types.ModuleType("genotypes")
    kind.__module__, module.Genotype = "genotypes", kind  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "genotypes", module)
    genotype = f"genotype={NB201}"
    weights = saved(tmp_path, {"genotype": kind(1, 2), "state_dict": random_model().state})
    phrases = ["Python object", "save the state_dict alone"]
    evaluate(tmp_path, genotype, weights).refused("(genotypes.Genotype)", *phrases)
    evaluate(tmp_path, genotype, saved(tmp_path, torch.nn.Linear(2, 2))).refused("(torch.nn.modules", *phrases)
    for old in (True, False):
        torch.save({"x": Trap(tmp_path)}, tmp_path / "weights.pt", _use_new_zipfile_serialization=old)
        found = evaluate(tmp_path, genotype, f"weights={tmp_path}/weights.pt")
        found.refused("Python object", "save the state_dict alone")
    assert not (tmp_path / "trap").exists()


class Trap:
    """Object that creates a file when it is unpickled."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.directory / "trap",)


def test_load_trained_refuses_runs_and_genotypes_without_weights(tmp_path: Path) -> None:
    directory = tmp_path / "search"
    directory.mkdir()
    evaluate(tmp_path, f"weights={directory}").refused("no model.pt in", "of a finished training")
    evaluate(tmp_path, f"genotype={NB201}").refused("has no weights", "python train.py genotype=")
    evaluate(tmp_path, f"genotype={directory}").refused("no file", "genotype.json")


@pytest.mark.parametrize("more", [{}, {"relaxation": {"tau": 1.0}}])
def test_load_trained_refuses_the_checkpoint_of_a_search(more: dict[str, object], tmp_path: Path) -> None:
    """Its state may hold more than tensors, as that of a relaxation does."""
    value = {"pytorch-lightning_version": "2", "search": {}, "state_dict": {"supernet.x": torch.zeros(1), **more}}
    torch.save(value, tmp_path / "last.ckpt")
    found = evaluate(tmp_path, f"weights={tmp_path}/last.ckpt", f"genotype={NB201}")
    found.refused("the checkpoint of a search", "supernet")


@pytest.mark.parametrize(
    ("arguments", "phrases"),
    [
        ("mode=evl", ["unknown mode 'evl'", "did you mean 'eval'"]),
        ("mode=eval", ["weights is missing", "mode=eval weights=X"]),
        ("mode=export weights=null", ["weights is missing", "mode=export weights=X"]),
        ("weights=x.pt genotype=x", ["weights=x.pt", "Use mode=eval"]),
        ("mode=eval weights=x.pt ckpt_path=y", ["mode=eval does not resume", "Use weights=DIRECTORY of the run"]),
        ("mode=export weights={model} export.format=onxx", ["unknown export.format 'onxx'", "'onnx'"]),
        ("mode=export weights={model} export.format=torch_export export.file={model}", ["ends in .pt2"]),
        (
            "mode=export weights={model} export.format=torch_export export.file={there}",
            ["exists already", "is not overwritten"],
        ),
        ("mode=export weights={model} export.format=torch_export export.normalize=7", ["export.normalize"]),
        ("mode=eval weights={model} evaluation.runs=0", ["evaluation.runs=0", "from 1 to"]),
        ("mode=eval weights={old}", ["has version 3", "reads versions 1 to 2"]),
        ("mode=eval weights={broken}", ["damaged", "classes"]),
        ("mode=eval weights={other}", ["do not fit its genotype"]),
    ],
)
def test_eval_and_export_refuse_their_options(arguments: str, phrases: list[str], tmp_path: Path) -> None:
    names = {name: tmp_path / f"{name}.pt" for name in ("model", "old", "broken", "other")} | {
        "there": tmp_path / "a.pt2"
    }
    save_random_model(names["model"])
    names["there"].write_text("mine")
    value = torch.load(names["model"], weights_only=True)
    torch.save({**value, "version": 3}, names["old"])
    torch.save({key: part for key, part in value.items() if key != "classes"}, names["broken"])
    torch.save({**value, "state_dict": {}}, names["other"])
    output = tmp_path / "out"
    found = run("train", *DATA, *arguments.format(**names).split(), f"hydra.run.dir={output}")
    found.refused(*phrases)
    assert names["there"].read_text() == "mine" and not (output / "summary.json").exists()


def test_check_export_packages_names_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        NasError, match=r"export.format=onnx: needs onnxruntime. Run pip install 'nas-compose\[export\]'"
    ):
        check_export_packages("onnx")
    check_export_packages("torch_export")
