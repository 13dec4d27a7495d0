"""nas.deploy.published_weights: translated names, and errors for weights that do not fit."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.deploy.published_weights import load_published_weights, translate_state_dict
from nas.nn.cell_graph import CellGraph
from nas.spaces.base import Network
from nas.spaces.darts.notation import parse as parse_darts
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.notation import parse_genotype
from nas.spaces.registry import space_of
from nas.utils.errors import NasError
from nas.zoo.architectures import get_architecture
from tests.support.deploy_tools import DARTS, NB201

State = dict[str, Tensor]


def final_201(channels: int = 4, topology: str = NB201) -> Network:
    space = NasBench201((3, 8, 8), 10)
    return space.network(space.parse(topology), channels=channels, cells_per_stage=1)


def super_201(**options: Any) -> Network:
    return NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1, **options).supernet()


def final_darts(**options: Any) -> Network:
    return Darts((3, 16, 16), 10).network(parse_darts(DARTS), channels=4, layers=4, **options)


def super_darts(**options: Any) -> Network:
    return Darts((3, 16, 16), 10, channels=4, layers=4, **options).supernet()


# Network, and the published name of an op by the position and nodes of its edge and the column of the op.
KINDS: dict[str, tuple[Callable[[], Network], Callable[[int, str, str, int], str]]] = {
    "final_201": (final_201, lambda e, source, target, column: f"layers.{e}"),
    "super_201": (super_201, lambda e, source, target, column: f"edges.{target}<-{source}.{column}"),
    "final_darts": (final_darts, lambda e, source, target, column: f"_ops.{e}"),
    "super_darts": (super_darts, lambda e, source, target, column: f"_ops.{e}._ops.{column}"),
}


def published(kind: str, network: Network) -> State:
    """Return the state of the network under its published names, without batch counters."""
    found = {}
    for name, value in network.state_dict().items():
        match = re.fullmatch(r"(cells\.\d+)((?:\.graph)?)\.edges\.(\d)_(\d)(x?)\.(\w+)\.(.+)", name)
        if match is not None:
            graph = network.get_submodule(match[1] + match[2])
            assert isinstance(graph, CellGraph)
            place = (
                graph.keys.index(f"{match[3]}_{match[4]}{match[5]}"),
                match[3],
                match[4],
                graph.cell.ops.index(match[6]),
            )
            name = f"{match[1]}.{KINDS[kind][1](*place)}.{match[7]}"
        if not name.endswith("num_batches_tracked"):
            found[name] = value
    return found


def scrambled(network: Network) -> Network:
    """Replace all values of the network, running statistics included."""
    for value in network.state_dict().values():
        value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.tensor(7))
    return network


def parts(message: str) -> dict[str, list[str]]:
    """Return the lists of names in an error about weights, by kind."""
    lists = message.split(": ", 1)[1].partition(". Set genotype")[0]
    found = (entry.split(" ", 1) for entry in lists.split("; "))
    return {kind: items.split(", ") for kind, items in found}


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("kind", KINDS)
def test_load_published_weights_round_trip(kind: str, prefix: str) -> None:
    build = KINDS[kind][0]
    source, target = scrambled(build()), scrambled(build())
    state = {prefix + name: value for name, value in published(kind, source).items()}
    numbered = [name for name in state if re.search(r"\._ops\.|\.layers\.|<-", name)]
    assert len(numbered) > 20
    load_published_weights(target, state)
    expected = source.state_dict()
    for name, value in target.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_translate_state_dict_names() -> None:
    """Compare a few literal names, independently of the helper ``published``."""
    one = torch.zeros(1)
    names: dict[str, tuple[Callable[[], Network], str]] = {
        "cells.2.layers.5.op.1.weight": (final_201, "cells.2.edges.2_3.nor_conv_3x3.op.1.weight"),
        "cells.2.layers.2.op.2.bias": (final_201, "cells.2.edges.1_2.nor_conv_1x1.op.2.bias"),
        "cells.1.conv_a.op.1.weight": (final_201, "cells.1.conv_a.op.1.weight"),
        "cells.0.edges.3<-1.2.op.1.weight": (super_201, "cells.0.edges.1_3.nor_conv_1x1.op.1.weight"),
        "cells.0._ops.0.op.7.weight": (final_darts, "cells.0.graph.edges.1_2.sep_conv_3x3.op.7.weight"),
        "cells.0._ops.5.op.7.weight": (final_darts, "cells.0.graph.edges.1_4x.sep_conv_3x3.op.7.weight"),
        "cells.1._ops.0.conv_2.weight": (final_darts, "cells.1.graph.edges.1_2.skip_connect.conv_2.weight"),
        "cells.0._ops.4._ops.6.op.3.running_var": (
            super_darts,
            "cells.0.graph.edges.2_3.dil_conv_3x3.op.3.running_var",
        ),
        "cells.0._ops.4._ops.2.1.running_var": (super_darts, "cells.0.graph.edges.2_3.avg_pool_3x3.1.running_var"),
        "cells.1.preprocess0.op.2.weight": (super_darts, "cells.1.preprocess0.op.2.weight"),
    }
    for theirs, (build, ours) in names.items():
        network = build()
        assert list(translate_state_dict({theirs: one}, network)) == [ours]
        assert ours in network.state_dict() or ours == "cells.1.preprocess0.op.2.weight"


def test_translate_state_dict_names_of_autodl_projects() -> None:
    """AutoDL-Projects numbers nodes from 0 in supernets, from 2 in final networks, and splits double convolutions."""
    fixed = Darts((3, 16, 16), 10, channels=4, layers=3, fixed_reduction=True)
    names: dict[str, tuple[Network, str]] = {
        "cells.0.edges.1<-2._ops.4.op_a.op.1.weight": (super_darts(), "graph.edges.2_3.sep_conv_3x3.op.1.weight"),
        "cells.0.edges.1<-2._ops.4.op_b.op.1.weight": (super_darts(), "graph.edges.2_3.sep_conv_3x3.op.5.weight"),
        "cells.0.edges.0<-1._ops.6.op.3.running_var": (super_darts(), "graph.edges.1_2.dil_conv_3x3.op.3.running_var"),
        "cells.1.edges.0<-1._ops.3.convs.1.weight": (super_darts(), "graph.edges.1_2.skip_connect.conv_2.weight"),
        "cells.2.preprocess0.convs.0.weight": (super_darts(), "preprocess0.conv_1.weight"),
        "cells.0.edges.2<-1.op_b.op.3.weight": (final_darts(), "graph.edges.1_2.sep_conv_3x3.op.7.weight"),
        "cells.1.ops1.0.5.weight": (fixed.supernet(), "conv_branches.0.5.weight"),
        "cells.1.ops2.1.1.running_mean": (fixed.supernet(), "pool_branches.1.1.running_mean"),
    }
    for theirs, (network, ours) in names.items():
        (found,) = translate_state_dict({theirs: torch.zeros(1)}, network)
        assert found == f"{theirs[:7]}.{ours}" and found in network.state_dict()


def test_translate_state_dict_names_of_a_pool_in_an_attribute() -> None:
    network = final_darts(pool_norm="plain")
    found = translate_state_dict({"cells.0._ops.1.op.1.running_mean": torch.zeros(1)}, network)
    assert list(found) == ["cells.0.graph.edges.0_2.max_pool_3x3.1.running_mean"]
    assert set(found) <= set(network.state_dict())


def published_network(name: str) -> Network:
    """Return the network of a published architecture with 4 channels and 3 cells, the second one a reduction."""
    genotype = parse_genotype(get_architecture(name).genotype)
    return space_of(genotype, (3, 16, 16), 10).network(genotype, channels=4, layers=3)


def test_translate_state_dict_names_of_a_bare_sequence() -> None:
    """DARTS builds conv_7x1_1x7 as a sequence without an attribute ``op``, AutoDL-Projects as a module with one."""
    network = published_network("AmoebaNet")
    expected = {
        f"cells.1.graph.edges.0_6.conv_7x1_1x7.op.{part}"
        for part in ("1.weight", "2.weight", "3.weight", "3.bias", "3.running_mean", "3.running_var")
    }
    own = network.state_dict()
    for prefix in ("cells.1._ops.8.", "module.cells.1._ops.8.", "cells.1._ops.8.op."):
        state = {prefix + name.rpartition(".op.")[2]: own[name] for name in expected}
        assert set(translate_state_dict(state, network)) == expected
    assert "cells.1._ops.8.1.weight" in {"cells.1._ops.8." + name.rpartition(".op.")[2] for name in expected}


def test_translate_state_dict_names_of_fair_darts() -> None:
    """FairDARTS orders the ops by target, source and their place on the edge."""
    network = published_network("FairDARTS_a")
    names = {
        "cells.0._ops.2.1.0.op.7.weight": "cells.0.graph.edges.1_2.sep_conv_5x5.op.7.weight",
        "cells.1._ops.3.1.0.op.3.bias": "cells.1.graph.edges.1_3.dil_conv_5x5.op.3.bias",
    }
    assert translate_state_dict({name: torch.zeros(1) for name in names}, network).keys() == set(names.values())
    assert set(names.values()) <= set(network.state_dict())


def test_translate_state_dict_names_of_p_darts_and_stems_of_autodl_projects() -> None:
    network = super_darts()
    names = {
        "cells.0.cell_ops.4.m_ops.6.op.3.running_var": "cells.0.graph.edges.2_3.dil_conv_3x3.op.3.running_var",
        "cells.0.cell_ops.4.m_ops.2.1.running_var": "cells.0.graph.edges.2_3.avg_pool_3x3.1.running_var",
        "stem.conv.weight": "stem.0.weight",
        "module.stem.bn.running_mean": "stem.1.running_mean",
    }
    assert list(translate_state_dict({name: torch.zeros(1) for name in names}, network)) == list(names.values())
    assert set(names.values()) <= set(network.state_dict())


def test_translate_state_dict_ignores_the_counters_of_thop() -> None:
    names = ("total_ops", "total_params", "cells.0.total_ops", "module.cells.0._ops.0.op.1.total_params")
    assert translate_state_dict({name: torch.zeros(1) for name in names}, final_darts()) == {}


def test_translate_state_dict_numbers_the_ops_of_each_edge() -> None:
    """If edges differ in their candidates (S1 of Robust DARTS), published names number the ops of the edge."""
    table = [["skip_connect", "dil_conv_5x5"]] + [["sep_conv_3x3", "dil_conv_5x5"]] * 13
    network = super_darts(
        ops=("skip_connect", "sep_conv_3x3", "dil_conv_5x5"), edge_ops={"normal": table, "reduce": table}
    )
    names = ["cells.0._ops.0._ops.1.op.1.weight", "cells.0._ops.1._ops.0.op.1.weight"]
    found = translate_state_dict({name: torch.zeros(1) for name in names}, network)
    assert list(found) == [f"cells.0.graph.edges.{e}.op.1.weight" for e in ("0_2.dil_conv_5x5", "1_2.sep_conv_3x3")]


def test_load_published_weights_keeps_own_names() -> None:
    source, target = scrambled(super_darts()), super_darts()
    load_published_weights(target, source.state_dict())
    expected = source.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in target.state_dict().items())


@pytest.mark.parametrize(
    "name",
    [
        "alphas_normal",
        "betas_reduce",
        "arch_parameters",
        "_arch_parameters",
        "arch_normal_parameters",
        "_arch_parameters.1",
    ],
)
def test_load_published_weights_ignores_architecture_parameters(name: str) -> None:
    network = super_201()
    state = published("super_201", network)
    load_published_weights(network, state | {name: torch.zeros(6, 5), f"module.{name}": torch.zeros(6, 5)})


def test_load_published_weights_lists_missing_weights() -> None:
    network = final_201()
    state = {
        name: value
        for name, value in published("final_201", network).items()
        if not name.startswith("cells.0.layers.2")
    }
    with pytest.raises(NasError, match="^weights of another architecture, size or kind of network: ") as error:
        load_published_weights(network, state)
    norm = "cells.0.edges.1_2.nor_conv_1x1.op.2"
    names = [f"{norm}.{part}" for part in ("weight", "bias", "running_mean", "running_var")]
    assert parts(str(error.value)) == {"missing": ["cells.0.edges.1_2.nor_conv_1x1.op.1.weight", *names]}


def test_load_published_weights_lists_unexpected_weights() -> None:
    """List five published names."""
    network = final_201()
    extra = {f"module.head.{i}.weight": torch.zeros(1) for i in range(7)}
    with pytest.raises(NasError) as error:
        load_published_weights(network, published("final_201", network) | extra)
    names = [f"module.head.{i}.weight" for i in range(5)]
    assert parts(str(error.value)) == {"unexpected": [*names[:4], f"{names[4]} and 2 more"]}


def test_load_published_weights_lists_other_shapes() -> None:
    network = final_201()
    state = published("final_201", network)
    state["stem.0.weight"] = torch.zeros(4, 1, 3, 3)
    state["classifier.bias"] = torch.tensor(0.0)
    with pytest.raises(NasError) as error:
        load_published_weights(network, state)
    assert parts(str(error.value)) == {
        "shape": ["stem.0.weight 4x1x3x3 instead of 4x3x3x3", "classifier.bias scalar instead of 10"]
    }


def test_load_published_weights_rejects_another_architecture() -> None:
    other = NB201.replace("nor_conv_3x3~0|+", "skip_connect~0|+").replace("none~0", "nor_conv_3x3~0")
    state = published("final_201", final_201(topology=other))
    network = final_201()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(NasError) as error:
        load_published_weights(network, state)
    found = parts(str(error.value))
    assert found["missing"][0] == "cells.0.edges.0_1.nor_conv_3x3.op.1.weight"
    assert found["unexpected"][0] == "cells.0.layers.1.op.1.weight"
    assert found["missing"][-1].endswith("and 10 more") and set(found) == {"missing", "unexpected"}
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_load_published_weights_rejects_another_kind_of_network() -> None:
    with pytest.raises(NasError, match="missing .* unexpected cells.0._ops.0._ops.1.1.running_mean"):
        load_published_weights(final_darts(), published("super_darts", super_darts()))


def test_load_published_weights_rejects_a_checkpoint() -> None:
    checkpoint: Any = {"state_dict": published("final_201", final_201()), "epoch": 3}
    with pytest.raises(NasError, match=r"'state_dict' is not a tensor, .* checkpoint\['state_dict'\]"):
        load_published_weights(final_201(), checkpoint)
