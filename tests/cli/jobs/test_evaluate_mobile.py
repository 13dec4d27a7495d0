"""Evaluation of NoisyDARTS-A: the logits of its authors, and its network fine-tuned on CIFAR-10."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nas.data.synthetic import Synthetic
from nas.spaces.notation import parse_genotype
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.zoo import architectures
from tests.data.pipeline.test_resize import by_pillow
from tests.golden.test_mobile import filled
from tests.support.deploy_tools import stored
from tests.support.error_tools import run
from tests.support.golden_tools import Golden, assert_golden

GENOTYPE = "NoisyDARTS_A"


@pytest.mark.data
def test_evaluation_gives_the_authors_logits(golden: Callable[[str], Golden], tmp_path: Path) -> None:
    """The weights are stored as by the authors' program; the logits are read from logits.pt."""
    reference = golden("mobile_noisydarts_a_se")
    names = [str(name) for name in reference.arrays["state_names"]]
    shapes = [tuple(int(n) for n in row if n > 0) for row in reference.arrays["state_shapes"]]
    phase = reference.entry["case"]["phase"]
    state = {n: filled(s, t, n, phase) for t, (n, s) in enumerate(zip(names, shapes, strict=True))}
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "w.pth.tar")
    x = reference.tensor("x")
    arguments = [*stored(tmp_path, x, torch.tensor([7] * len(x)), 1000), f"genotype={GENOTYPE}"]
    arguments += [f"weights={tmp_path}/w.pth.tar", "evaluation.logits=true", "evaluation.runs=1"]
    run("train", "mode=eval", *arguments, f"hydra.run.dir={tmp_path}/run").succeeded()
    assert_golden(reference, "logits", torch.load(tmp_path / "run" / "logits.pt", weights_only=True)["logits"])
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["parameters"] == int(reference.arrays["num_parameters"])
    assert summary["space"] == "mobile" and summary["test_top5_accuracy"] is not None


def fine_tuned_network(classes: int = 10) -> tuple[torch.nn.Module, dict[str, Tensor]]:
    """Return a network, and its weights under the names of the published checkpoint (classifier after dropout)."""
    genotype = parse_genotype(architectures.get_architecture(GENOTYPE).genotype)
    network = MobileNetV2Space((3, 64, 64), classes).network(genotype).eval()
    names = [(name, value) for name, value in network.state_dict().items() if not name.endswith("tracked")]
    state = {name: filled(tuple(value.shape), t, name, 0.5) for t, (name, value) in enumerate(names)}
    network.load_state_dict(state, strict=False)
    return network, {name.replace("classifier.", "classifier.1."): value for name, value in state.items()}


def test_evaluation_resizes_as_the_published_verification(tmp_path: Path) -> None:
    """Resize by Pillow, crop the center, normalize as ImageNet; here 56 of 64 instead of 224 of 256 pixels."""
    network, state = fine_tuned_network()
    torch.save({"model_state": state}, tmp_path / "transfer.pt.tar")
    data = ["dataset=synthetic", "dataset.test_size=6", "dataset.mean=0.45", "dataset.std=0.22"]
    arguments = [*data, "dataset.image_size=56", "dataset.resize=64", f"genotype={GENOTYPE}"]
    arguments += [f"weights={tmp_path}/transfer.pt.tar", "evaluation.logits=true", "evaluation.runs=1"]
    run("train", "mode=eval", *arguments, f"hydra.run.dir={tmp_path}/run").succeeded()
    images = Synthetic(test_size=6).splits.test_images
    x = torch.stack([by_pillow(image, 56, 64) for image in images]).float().div(255).sub(0.45).div(0.22)
    with torch.no_grad():
        expected = network(x)
    found = torch.load(tmp_path / "run" / "logits.pt", weights_only=True)["logits"]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.std(0).min() > 1e-4, "logits differ between images"
