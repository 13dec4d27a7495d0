"""Tests of custom ops and spaces in genotype files, and of the building of their networks."""

from __future__ import annotations

import json
import random
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import nas
from nas.architecture.cell import Cell, Genotype
from nas.deploy.model import Model, save_model
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.nn.ops import OpOptions
from nas.spaces.base import Network, Output, Shape, Space
from nas.spaces.custom_spaces import own_parts
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_file import load_genotype, save_genotype
from nas.spaces.notation import native_string, parse_genotype
from nas.spaces.registry import space_of
from nas.utils.errors import NasError
from tests.support.custom_packages import install, write_package
from tests.support.space_tools import same_op_everywhere

SHAPE: Shape = (3, 8, 8)
CELL = Cell(((0, 1),), ("skip_connect", "nor_conv_1x1"), (1,))


class OneEdge(nn.Conv2d):
    """A custom op."""

    def __init__(self, channels: int, stride: int, options: OpOptions, kernel: int = 3) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2)


class TinyNetwork(Network):
    """A single edge."""

    def __init__(self, cell: Cell, edge: EdgeFactory, classes: int) -> None:
        super().__init__()
        self.graph = CellGraph(cell, 3, lambda source: 1, edge, OpOptions())
        self.classifier = nn.Linear(3, classes)

    def outputs(self, x: Any, arch: Any = None) -> Output:
        features = self.graph([x])[1].mean((2, 3))
        return Output(self.classifier(features), features)


class Tiny(Space):
    """A custom space."""

    notation = "tiny"

    def __init__(self, shape: Shape, classes: int, name: str = "tiny") -> None:
        super().__init__(name, shape, classes)
        self.cells = {"cell": CELL}

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        return TinyNetwork(CELL, edge, self.classes)

    def network(self, genotype: Genotype, *args: Any, **options: Any) -> Network:
        return TinyNetwork(CELL.restrict(genotype.cells["cell"]), MixedEdge, self.classes)


def darts_genotype() -> Genotype:
    return same_op_everywhere(Darts(SHAPE, 4, channels=2, layers=3, ops=["none", OneEdge]), "OneEdge")


def test_custom_ops_build_the_network_of_a_genotype(tmp_path: Path) -> None:
    genotype, file = darts_genotype(), tmp_path / "genotype.json"
    with own_parts(OneEdge):
        save_genotype(genotype, file)
        network = space_of(genotype, SHAPE, 4).network(genotype, channels=4, layers=3)
        assert parse_genotype(native_string(genotype)) == genotype
    assert any(isinstance(module, OneEdge) for module in network.modules())
    record = json.loads(file.read_text())["own_parts"]
    assert list(record) == ["OneEdge"] and record["OneEdge"]["target"] == f"{__name__}.OneEdge"
    found = load_genotype(file)
    assert found == genotype, "a file is read without its ops"
    with pytest.raises(
        NasError, match=rf"its op 'OneEdge' is {__name__}.OneEdge of .*own_parts=\[{__name__}.OneEdge\]"
    ):
        space_of(found, SHAPE, 4)
    with pytest.raises(NasError, match="unknown op 'OneEdge'"):
        parse_genotype(native_string(genotype))
    save_genotype(found, tmp_path / "copy.json")
    assert json.loads((tmp_path / "copy.json").read_text())["own_parts"] == record, "a copy keeps the record"


def test_space_with_a_class_parses_its_genotypes() -> None:
    space = Darts(SHAPE, 4, channels=2, layers=3, ops=["none", OneEdge])
    genotype = space.sample(random.Random(0))
    assert space.parse(space.native(genotype)) == genotype


def test_names_choose_the_options_of_an_op() -> None:
    with own_parts(large=partial(OneEdge, kernel=5)):
        genotype = same_op_everywhere(Darts(SHAPE, 4, channels=2, layers=3, ops=["none", "large"]), "large")
        network = space_of(genotype, SHAPE, 4).network(genotype, channels=4, layers=3)
    kernels = {module.kernel_size for module in network.modules() if isinstance(module, OneEdge)}
    assert kernels == {(5, 5)}


def test_custom_space_is_found_by_its_notation(tmp_path: Path) -> None:
    genotype = Tiny(SHAPE, 4).sample(random.Random(0))
    with own_parts(Tiny):
        save_genotype(genotype, tmp_path / "genotype.json")
        assert isinstance(space_of(genotype, SHAPE, 4), Tiny)
        wrong = Genotype("tiny", {"other": genotype.cells["cell"]})
        with pytest.raises(NasError, match="does not fit space=tiny"):
            space_of(wrong, SHAPE, 4)
    with own_parts(partial(Tiny, name="tiny_2")):
        assert space_of(genotype, SHAPE, 4).name == "tiny_2"
    found = load_genotype(tmp_path / "genotype.json")
    with pytest.raises(NasError, match=rf"its space 'tiny' is {__name__}.Tiny of "):
        space_of(found, SHAPE, 4)
    with pytest.raises(NasError, match="unknown space of the genotype 'tiny'.*nas_bench_201"):
        space_of(genotype, SHAPE, 4)


def test_model_file_needs_the_class(tmp_path: Path) -> None:
    genotype, file = Tiny(SHAPE, 4).sample(random.Random(0)), tmp_path / "model.pt"
    state = Tiny(SHAPE, 4).network(genotype).state_dict()
    with own_parts(Tiny):
        save_model(Model(genotype, {}, SHAPE, 4, state), file)
    with pytest.raises(NasError, match=f"its space 'tiny' is {__name__}.Tiny"):
        nas.load(file)
    network = nas.load(file, own_parts=[Tiny])
    assert network(torch.zeros(2, *SHAPE)).shape == (2, 4)
    with nas.own_parts(Tiny):
        assert nas.load(file).genotype == genotype


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (type("NoName", (Tiny,), {"notation": None}), "NoName: notation=None is not a name. Set the class attribute"),
        (3, "own_parts: int is a int"),
    ],
)
def test_unusable_parts_raise(part: Any, message: str) -> None:
    with pytest.raises(NasError, match=message), own_parts(part):
        pass


def test_record_of_a_file_is_never_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(tmp_path / "package", "recorded_op", f"open({str(tmp_path / 'made')!r}, 'w')\nclass Op: pass\n")
    install(monkeypatch, tmp_path / "package", "recorded_op")
    file = tmp_path / "genotype.json"
    with own_parts(OneEdge):
        save_genotype(darts_genotype(), file)
    file.write_text(file.read_text().replace(f"{__name__}.OneEdge", "recorded_op.Op"))
    with pytest.raises(NasError, match="its op 'OneEdge' is recorded_op.Op .*No file makes this program import code"):
        space_of(load_genotype(file), SHAPE, 4)
    assert "recorded_op" not in sys.modules and not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "record", [{"OneEdge": 3}, {"OneEdge": {"target": "a.B"}}, {"OneEdge": {"target": "a\x1b[2J", "package": "b"}}, 3]
)
def test_damaged_record_raises(record: Any, tmp_path: Path) -> None:
    file = tmp_path / "genotype.json"
    save_genotype(darts_genotype(), file)
    file.write_text(json.dumps({**json.loads(file.read_text()), "own_parts": record}))
    with pytest.raises(NasError, match="is damaged"):
        load_genotype(file)
