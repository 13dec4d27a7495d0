"""nas.deploy.export: ONNX and torch.export files have the logits of the network, for any batch size."""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import nas
from nas.deploy.export import export_network, verify_export
from nas.deploy.load import TrainedNetwork
from nas.spaces.genotype_file import encode_genotype
from nas.spaces.notation import parse_genotype
from nas.utils.errors import NasError
from tests.support.deploy_tools import DARTS, NB201, random_model, save_random_model
from tests.support.error_tools import TINY, run

DATA = [a for a in TINY if "batch_size" not in a]
X = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def export(tmp_path: Path, *arguments: str) -> tuple[Path, dict[str, Any], str]:
    """Run an export, and return its directory, summary and log."""
    output = tmp_path / "out"
    run("train", "mode=export", *DATA, *arguments, f"hydra.run.dir={output}").succeeded()
    return output, json.loads((output / "summary.json").read_text()), (output / "train.log").read_text()


def check_metadata(found: dict[str, Any], expected_input: str) -> None:
    assert (found["format"], int(found["version"]), found["input"]) == ("nas-export", 2, expected_input)
    assert found["shape"] == [3, 8, 8] and found["classes"] == 10 and found["class_names"][9] == "kind 9"
    assert found["mean"] == [0.4] * 3 and found["std"] == [0.2] * 3 and found["dataset"] == "synthetic"
    assert found["genotype"] == encode_genotype(random_model().genotype)


def test_export_onnx_matches_the_network(tmp_path: Path) -> None:
    onnx, onnxruntime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    model = save_random_model(tmp_path / "model.pt")
    output, summary, said = export(tmp_path, f"weights={model}", "export.format=onnx")
    assert {p.name for p in output.iterdir() if p.is_file()} == {"model.onnx", "summary.json", "train.log"}
    assert set(summary["max_difference"]) == {"random", "real"} and "real images" in said
    assert all(0 <= worst < 1e-4 for worst in summary["max_difference"].values())
    graph = onnx.load(output / "model.onnx")
    onnx.checker.check_model(graph, full_check=True)
    values = {entry.key: entry.value for entry in graph.metadata_props}
    texts = ("format", "input", "dataset")
    check_metadata({key: v if key in texts else json.loads(v) for key, v in values.items()}, "normalized")
    session = onnxruntime.InferenceSession(str(output / "model.onnx"), providers=["CPUExecutionProvider"])
    network = nas.load(model)
    for batch in (X, X[:1], X[:4]):
        got = torch.from_numpy(session.run(None, {"images": batch.numpy()})[0])
        with torch.no_grad():
            torch.testing.assert_close(got, network(batch), rtol=1e-4, atol=1e-5)
    content = (output / "model.onnx").read_bytes()
    assert str(Path(nas.__file__).parent).encode() not in content, "no paths of this machine"
    damaged = onnx.load(output / "model.onnx")
    weight = next(part for part in damaged.graph.initializer if part.name.endswith("classifier.weight"))
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) + 1, weight.name))
    with pytest.raises(NasError, match="differs from the network by .* on given input. Nothing was written"):
        verify_export(network, "onnx", damaged.SerializeToString(), {"given": X})


def test_export_program_matches_the_network(tmp_path: Path) -> None:
    model = save_random_model(tmp_path / "model.pt")
    file = tmp_path / "elsewhere" / "net.pt2"
    more = ["export.format=torch_export", "export.normalize=true", f"export.file={file}"]
    output, summary, said = export(tmp_path, f"weights={model}", *more)
    assert not (output / "model.pt2").exists() and summary["file"] == str(file) and "pixels in 0..1" in said
    assert set(summary["max_difference"]) == {"random", "real"} and max(summary["max_difference"].values()) < 1e-4
    extra = {"nas.json": ""}
    program = torch.export.load(file, extra_files=extra).module()
    check_metadata(json.loads(extra["nas.json"]), "pixels")
    network = nas.load(model, normalize=True)
    with torch.no_grad():
        for batch in (X, X[:1], X[:4]):
            torch.testing.assert_close(program(batch), network(batch), rtol=1e-4, atol=1e-5)
    with zipfile.ZipFile(file) as archive:
        here = str(Path(nas.__file__).parent).encode()
        assert not any(here in archive.read(name) for name in archive.namelist()), "no paths of this machine"
    before = file.read_bytes()
    again = run("train", "mode=export", *DATA, f"weights={model}", *more, f"hydra.run.dir={tmp_path}/again")
    again.refused("exists already")
    assert file.read_bytes() == before
    finished = run("train", "mode=export", *DATA, f"weights={model}", more[0], f"hydra.run.dir={output}")
    finished.refused("holds a finished run")


def test_export_runs_without_real_images(tmp_path: Path) -> None:
    """Export without a comparison on real images, and without a download."""
    model = save_random_model(tmp_path / "model.pt", shape=(3, 32, 32))
    arguments = ["dataset=cifar10", f"paths.data={tmp_path}", f"weights={model}", "export.format=torch_export"]
    output = tmp_path / "out"
    run("train", "mode=export", *arguments, f"hydra.run.dir={output}").succeeded()
    assert "not compared on real images: " in (text := (output / "train.log").read_text()) and "download is off" in text
    assert set(json.loads((output / "summary.json").read_text())["max_difference"]) == {"random"}
    assert (output / "model.pt2").is_file()


def test_export_program_omits_the_auxiliary_head() -> None:
    trained = TrainedNetwork(random_model(DARTS, shape=(3, 16, 16)), auxiliary=False)
    data = export_network(trained, "torch_export")
    assert b"auxiliary_head" not in data
    assert verify_export(trained, "torch_export", data, {"given": torch.rand(3, 3, 16, 16)})["given"] < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("normalize", [False, True])
def test_export_onnx_omits_the_auxiliary_head(normalize: bool) -> None:
    pytest.importorskip("onnxscript")
    trained = TrainedNetwork(random_model(DARTS, shape=(3, 16, 16)), normalize, auxiliary=False)
    data = export_network(trained, "onnx")
    assert b"auxiliary_head" not in data
    assert verify_export(trained, "onnx", data, {"given": torch.rand(3, 3, 16, 16)})["given"] < 1e-4


def test_export_network_rejects_random_networks() -> None:
    noisy = parse_genotype(DARTS.replace("max_pool_3x3", "noise"))
    network = TrainedNetwork(random_model())
    network.genotype = noisy
    with pytest.raises(NasError, match="'noise' has random outputs"):
        export_network(network, "torch_export")


def test_verify_export_rejects_outputs_that_are_not_finite() -> None:
    network = TrainedNetwork(random_model(NB201))
    data = export_network(network, "torch_export")
    assert math.isfinite(verify_export(network, "torch_export", data, {"given": X})["given"])
    with pytest.raises(NasError, match="differs from the network"):
        verify_export(network, "torch_export", data, {"given": X * float("nan")})
