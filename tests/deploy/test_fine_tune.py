"""nas.deploy.fine_tune: copied weights, weights that stay random, and weights that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from nas.deploy.fine_tune import load_initial_weights
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.utils.errors import NasError
from nas.zoo import architectures
from tests.support.deploy_tools import DARTS, NB201, SIZES, random_model, save_random_model
from tests.support.error_tools import TINY, run


def test_load_initial_weights_keeps_a_new_classifier(tmp_path: Path) -> None:
    model = random_model()
    save_random_model(tmp_path / "model.pt")
    for classes, new in ((10, []), (7, ["classifier.weight", "classifier.bias"])):
        network = space_of(model.genotype, (3, 16, 16), classes).network(model.genotype, **SIZES[NB201])
        before = {name: value.clone() for name, value in network.state_dict().items()}
        assert load_initial_weights(network, model.genotype, tmp_path) == new
        for name, value in network.state_dict().items():
            assert torch.equal(value, before[name] if name in new else model.state[name]), name


def test_load_initial_weights_keeps_a_missing_auxiliary_head(tmp_path: Path) -> None:
    model = random_model(DARTS)
    state = {f"module.{name}": value for name, value in model.state.items() if "auxiliary" not in name}
    torch.save({"state_dict": state}, tmp_path / "w.pth")
    network = model.space.network(model.genotype, **SIZES[DARTS])
    new = load_initial_weights(network, model.genotype, tmp_path / "w.pth")
    assert new and all(name.startswith("auxiliary_head.") for name in new)
    own = network.state_dict()
    assert all(torch.equal(own[name.removeprefix("module.")], value) for name, value in state.items())


def test_load_initial_weights_from_imagenet_to_cifar(tmp_path: Path) -> None:
    """Use NoisyDARTS-A, whose blocks are named by stage and position in the published code."""
    genotype = parse_genotype(architectures.get_architecture("NoisyDARTS_A").genotype)
    source = MobileNetV2Space((3, 64, 64), 20).network(genotype)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    network = MobileNetV2Space((3, 32, 32), 10).network(genotype)
    assert load_initial_weights(network, genotype, tmp_path / "w.pt") == ["classifier.weight", "classifier.bias"]
    assert torch.equal(network.get_parameter("conv_stem.weight"), source.get_parameter("conv_stem.weight"))


def test_load_initial_weights_rejects_other_networks(tmp_path: Path) -> None:
    model = random_model()
    save_random_model(tmp_path / "model.pt")
    torch.save(model.state, tmp_path / "w.pt")
    wide = space_of(model.genotype, (3, 8, 8), 10).network(model.genotype, channels=8, cells_per_stage=1)
    before = {name: value.clone() for name, value in wide.state_dict().items()}
    for source in ("model.pt", "w.pt"):
        with pytest.raises(NasError, match="does not fit the network, which differs in stem.0.weight, .* more"):
            load_initial_weights(wide, model.genotype, tmp_path / source)
    assert all(torch.equal(value, before[name]) for name, value in wide.state_dict().items())
    other = parse_genotype(NB201.replace("avg_pool_3x3~1", "skip_connect~1"))
    with pytest.raises(NasError, match="a network of another genotype"):
        load_initial_weights(wide, other, tmp_path / "model.pt")
    with pytest.raises(NasError, match="init_weights=.*: there is no model.pt in"):
        (tmp_path / "empty").mkdir()
        load_initial_weights(wide, model.genotype, tmp_path / "empty")


def test_train_starts_from_initial_weights(tmp_path: Path) -> None:
    """Train with learning rate zero, which leaves the copied weights unchanged."""
    model = random_model()
    save_random_model(tmp_path / "model.pt")
    arguments = [*TINY, "dataset.classes=7", f"genotype={NB201}", "network.channels=4", "network.cells_per_stage=1"]
    arguments += ["epochs=1", "training.optimizer.lr=0.0", f"init_weights={tmp_path}/model.pt"]
    done = run("train", *arguments, f"hydra.run.dir={tmp_path}/run")
    done.succeeded()
    assert f"init weights   {tmp_path}/model.pt (new: classifier.weight, classifier.bias)" in done.said
    found = torch.load(tmp_path / "run" / "model.pt", weights_only=True)
    taken = [name for name in model.state if not name.startswith("classifier") and name.endswith("weight")]
    assert len(taken) > 20 and all(torch.equal(found["state_dict"][name], model.state[name]) for name in taken)
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == 1
    missing = run("train", *arguments[:-1], "init_weights=nowhere.pt", f"hydra.run.dir={tmp_path}/none")
    missing.refused("init_weights=nowhere.pt: no such file")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(NasError, match="init_weights=.*: not a file of torch.save"):
        load_initial_weights(model.network(), model.genotype, tmp_path / "text.pt")
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(NasError, match="init_weights=.*: contains a list, but no state_dict"):
        load_initial_weights(model.network(), model.genotype, tmp_path / "list.pt")


def test_evaluation_rejects_initial_weights(tmp_path: Path) -> None:
    save_random_model(tmp_path / "model.pt")
    arguments = ["mode=eval", f"weights={tmp_path}/model.pt", f"init_weights={tmp_path}/model.pt"]
    run("train", *arguments, f"hydra.run.dir={tmp_path}/run").refused("init_weights=", "mode=train")
