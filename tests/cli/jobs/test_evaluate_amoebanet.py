"""Evaluation of weights with the names of the DARTS repository, for a cell with a bare sequence as an op."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.zoo.architectures import get_architecture
from tests.support.deploy_tools import stored
from tests.support.error_tools import run


def test_evaluation_reads_weights_of_amoebanet(tmp_path: Path) -> None:
    torch.manual_seed(0)
    genotype = parse_genotype(get_architecture("AmoebaNet").genotype)
    network = space_of(genotype, (3, 16, 16), 10).network(genotype, channels=4, layers=3, auxiliary=True)
    state = {}
    for name, value in network.state_dict().items():
        match = re.fullmatch(r"(cells\.\d+)\.graph\.edges\.(\w+)\.(\w+)\.(.+)", name)
        if match is not None:
            edge = network.get_submodule(f"{match[1]}.graph").keys.index(match[2])  # type: ignore[operator, union-attr]
            rest = match[4].removeprefix("op.") if match[3] == "conv_7x1_1x7" else match[4]
            name = f"{match[1]}._ops.{edge}.{rest}"
        if not name.endswith("num_batches_tracked"):
            state[f"module.{name}"] = value
    assert "module.cells.1._ops.8.1.weight" in state and "module.auxiliary_head.classifier.weight" in state
    torch.save({"epoch": 600, "state_dict": state}, tmp_path / "weights.pt")
    x, y = torch.randn(6, 3, 16, 16), torch.arange(6)
    arguments = [*stored(tmp_path, x, y, 10), "genotype=AmoebaNet", f"weights={tmp_path}/weights.pt"]
    more = ["evaluation.logits=true", "evaluation.runs=1", f"hydra.run.dir={tmp_path}/run"]
    run("train", "mode=eval", *arguments, *more).succeeded()
    logits = torch.load(tmp_path / "run" / "logits.pt", weights_only=True)["logits"]
    with torch.no_grad():
        assert torch.allclose(logits, network.eval()(x), atol=1e-5)
