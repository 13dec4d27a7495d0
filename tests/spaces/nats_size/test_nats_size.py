"""NATS-Bench's size space: its order, its costs, its networks against hand-written ones, and runs of it."""

from __future__ import annotations

import itertools
import json
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nas.architecture.cell import Architecture, Cell, EdgeWeights, Genotype, Link, op_counts
from nas.nn.edges.mixed import MixedEdge
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.macs import count_macs, count_parameters
from nas.objectives.resource_penalty import layer_cost, op_costs
from nas.spaces.base import Shape
from nas.spaces.genotype_file import load_genotype
from nas.spaces.nas_bench_201.notation import EDGES, edge_ops
from nas.spaces.nas_bench_201.notation import from_index as nas_bench_201_from_index
from nas.spaces.nats_size.cost import nats_size_cost
from nas.spaces.nats_size.notation import from_index, from_widths, parse, to_index, widths_of
from nas.spaces.nats_size.skeleton import CELL_OPS, WIDTH_OF_BLOCK
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.nats_size.supernet import SizedSupernet
from nas.spaces.notation import native_string
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA
from tests.support.error_tools import TINY, run

CIFAR, SMALL = (3, 32, 32), (2, 3, 5, 8)
STATED: list[tuple[str, int, Shape, float, float]] = [  # multiply-adds and parameters, in millions
    ("8:8:8:8:8", 10, CIFAR, 4.481114, 0.011714),
    ("8:8:8:8:8", 100, CIFAR, 4.481924, 0.012524),
    ("8:8:8:8:8", 120, (3, 16, 16), 1.121336, 0.012704),
    ("16:16:16:16:16", 10, CIFAR, 17.481898, 0.045562),
    ("8:8:8:16:32", 10, CIFAR, 6.84065, 0.049202),
    ("8:8:40:32:40", 10, CIFAR, 21.827994, 0.144834),
    ("16:16:32:32:64", 10, CIFAR, 33.866378, 0.225466),
    ("64:64:64:64:64", 10, CIFAR, 274.399882, 0.713674),
]


@pytest.mark.parametrize(("text", "classes", "shape", "million_macs", "million_parameters"), STATED)
def test_stated_costs(text: str, classes: int, shape: Shape, million_macs: float, million_parameters: float) -> None:
    expected = round(1e6 * million_parameters), round(1e6 * million_macs)
    genotype = parse(text)
    assert nats_size_cost(genotype, shape, classes) == expected
    network = NatsSize(shape, classes).network(genotype)
    assert (count_parameters(network), count_macs(network, shape, bias=True)) == expected


@settings(deadline=None, max_examples=15)
@given(widths=st.lists(st.integers(1, 9), min_size=5, max_size=5), side=st.integers(4, 9), planes=st.integers(1, 4))
def test_costs_are_those_of_the_network(widths: list[int], side: int, planes: int) -> None:
    shape = (planes, side, side + 1)
    network = NatsSize(shape, 7).network(from_widths(widths))
    assert nats_size_cost(from_widths(widths), shape, 7) == (
        count_parameters(network),
        count_macs(network, shape, bias=True),
    )


def test_the_cell_is_the_benchmarks() -> None:
    edges = dict(CELL_OPS)
    assert tuple(edges[edge] for edge in EDGES) == edge_ops(nas_bench_201_from_index(9930))


def test_order() -> None:
    for index, widths in enumerate(itertools.product(SMALL, repeat=5)):
        assert widths_of(from_index(index, SMALL)) == widths and to_index(from_widths(widths), SMALL) == index
    assert native_string(from_index(0)) == "8:8:8:8:8" and native_string(from_index(32767)) == "64:64:64:64:64"
    assert native_string(from_index(284)) == "8:8:40:32:40"
    for wrong in (-1, 32768):
        with pytest.raises(NasError, match="0 to 32767"):
            from_index(wrong)
    with pytest.raises(NasError, match="width 9"):
        to_index(parse("8:9:8:8:8"))


@pytest.mark.parametrize("text", ["8:8:8:8", "8:8:8:8:8:8", "8:8:0:8:8", "8:8:08:8:8", "8:-8:8:8:8", "8:a:8:8:8"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(NasError, match="8:16:24:32:40"):
        parse(text)
    with pytest.raises(NasError, match="8:16:24:32:40"):
        load_genotype(text)


@pytest.mark.parametrize("links", [(), tuple(from_index(3).cells["cell"].links[:4]), (("x", 0, 1),) * 5])
def test_damaged_genotypes_are_refused(links: Any) -> None:
    cell = from_index(3).cells["cell"]
    with pytest.raises(NasError, match="one width"):
        widths_of(Genotype("nats_size", {"cell": cell._replace(links=tuple(map(Link._make, links)))}))
    with pytest.raises(NasError, match="no widths"):
        widths_of(nas_bench_201_from_index(3))


def test_candidates_are_checked_and_sampled() -> None:
    space = NatsSize((3, 8, 8), 4, SMALL)
    space.check(parse("2:8:3:5:5"))
    with pytest.raises(NasError, match="op '4' is not a choice on edge 2->3"):
        space.check(parse("2:8:4:5:5"))
    assert {op_counts(space.sample(random.Random(n))).keys() <= {"2", "3", "5", "8"} for n in range(50)} == {True}
    for wrong in ([], [8, 4], [4, 4], [0, 4], [2.5]):
        with pytest.raises(NasError, match="space.widths"):
            NatsSize((3, 8, 8), 4, wrong)  # type: ignore[arg-type]


def norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


def by_hand(net: nn.Module, x: Tensor, choose: Any) -> Tensor:
    """The supernet written out from its tensors; ``choose(x, block)`` is what stands behind a block."""
    state = {**dict(net.named_parameters()), **dict(net.named_buffers())}

    def conv(name: str, x: Tensor, stride: int = 1) -> Tensor:
        weight, bias = state[f"{name}.weight"], state.get(f"{name}.bias")
        return F.conv2d(x, weight, bias, stride, padding=weight.shape[2] // 2)

    def affine(name: str, x: Tensor) -> Tensor:
        return norm(x) * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]

    x = choose(norm(conv("stem.0", x)), 0)
    for block in range(1, 6):
        at = f"cells.{block - 1}"
        if block in (2, 4):
            inner = affine(f"{at}.conv_a.op.2", conv(f"{at}.conv_a.op.1", x.relu(), 2))
            inner = affine(f"{at}.conv_b.op.2", conv(f"{at}.conv_b.op.1", inner.relu()))
            x = inner + conv(f"{at}.downsample.1", F.avg_pool2d(x, 2, 2, ceil_mode=True))
        else:
            edge = {e: (lambda y, n=f"{at}.edges.{e}.op.1": norm(conv(n, y.relu()))) for e in ("0_1", "0_2", "1_2")}
            edge |= {e: (lambda y, n=f"{at}.edges.{e}.op.1": norm(conv(n, y.relu()))) for e in ("1_3", "2_3")}
            one = edge["0_1"](x)
            two = edge["0_2"](x) + edge["1_2"](one)
            x = x + edge["1_3"](one) + edge["2_3"](two)
        x = choose(x, block)
    features = norm(x).relu().mean((2, 3))
    return features @ state["classifier.weight"].T + state["classifier.bias"]


def architecture(blocks: int, soft: bool) -> Architecture:
    torch.manual_seed(blocks)
    op = torch.rand(blocks, len(SMALL), dtype=torch.float64)
    op = op.softmax(-1) if soft else F.one_hot(op.argmax(-1), len(SMALL)).double()
    return {"cell": EdgeWeights(op.requires_grad_(), (op > 0).tolist())}


@pytest.mark.parametrize("blocks", [5, 6])
@pytest.mark.parametrize("soft", [True, False])
def test_masks_against_loops(blocks: int, soft: bool) -> None:
    torch.manual_seed(0)
    net = NatsSize((3, 9, 9), 4, SMALL).supernet().double().train()
    x, arch = torch.randn(3, 3, 9, 9, dtype=torch.float64), architecture(blocks, soft)
    op = arch["cell"].op

    def choose(x: Tensor, block: int) -> Tensor:
        row = block if blocks == 6 else max(0, block - 1)
        channels = [x[:, c] * sum(op[row, w] for w, width in enumerate(SMALL) if c < width) for c in range(8)]
        return torch.stack(channels, dim=1)

    logits, expected = net(x, arch), by_hand(net, x, choose)
    assert torch.allclose(logits, expected, rtol=1e-10, atol=1e-12)
    grads = [torch.autograd.grad(out.square().sum(), op, retain_graph=True)[0] for out in (logits, expected)]
    assert torch.allclose(*grads, rtol=1e-8, atol=1e-10) and grads[0].abs().sum(-1).min() > 0


@pytest.mark.parametrize("soft", [True, False])
def test_interpolation_against_loops(soft: bool) -> None:
    """Channel j of a resized feature is the mean of the channels that its share of them touches."""
    torch.manual_seed(0)
    net = NatsSize((3, 9, 9), 4, SMALL, mix="interpolate").supernet().double().train()
    x, arch = torch.randn(3, 3, 9, 9, dtype=torch.float64), architecture(6, soft)
    op, active = arch["cell"].op, [[on and w != 3 for w, on in enumerate(row)] for row in arch["cell"].active]
    arch = {"cell": EdgeWeights(op, active)}

    def choose(x: Tensor, block: int) -> Tensor:
        columns = [w for w, on in enumerate(active[block]) if on]
        widest = max((SMALL[w] for w in columns), default=0)
        out = [torch.zeros_like(x[:, 0]) for _ in range(8)]
        for w, j in itertools.product(columns, range(widest)):
            first, last = j * SMALL[w] // widest, -(-(j + 1) * SMALL[w] // widest)
            out[j] = out[j] + op[block, w] * x[:, first:last].mean(1)
        return torch.stack(out, dim=1)

    logits, expected = net(x, arch), by_hand(net, x, choose)
    assert torch.allclose(logits, expected, rtol=1e-10, atol=1e-12)
    grads = [torch.autograd.grad(out.square().sum(), op, retain_graph=True)[0] for out in (logits, expected)]
    assert torch.allclose(*grads, rtol=1e-8, atol=1e-10)


def test_supernet_as_the_card_has_it() -> None:
    net = NatsSize((3, 8, 8), 4).supernet()
    convs = {name: m for name, m in net.named_modules() if isinstance(m, nn.Conv2d)}
    norms = {name: m for name, m in net.named_modules() if isinstance(m, nn.BatchNorm2d)}
    in_reduction = [name for name in {**convs, **norms} if name.startswith(("cells.1.", "cells.3."))]
    assert len(convs) == 1 + 3 * 5 + 2 * 3 and all(m.out_channels == 64 for m in convs.values())
    assert {name for name, m in convs.items() if m.bias is None} == {n for n in in_reduction if n in convs}
    assert {name for name, m in norms.items() if m.affine} == {n for n in in_reduction if n in norms}
    assert {name for name, m in norms.items() if m.track_running_stats} == {n for n in in_reduction if n in norms}
    assert tuple(max(0, block - 1) for block in range(6)) == WIDTH_OF_BLOCK


def test_genotype_network_changes_channels_at_the_input_of_a_cell() -> None:
    net = NatsSize((3, 8, 8), 4).network(parse("3:5:7:7:2"))
    kinds = [type(net.get_submodule(f"cells.{cell}.edges.0_3")).__name__ for cell in (0, 2, 4)]
    assert kinds == ["Identity", "Sequential", "Sequential"]
    skip = net.get_submodule("cells.2.edges.0_3")
    assert [type(part).__name__ for part in skip.children()] == ["Conv2d", "BatchNorm2d"]
    shapes = [tuple(net.get_parameter(f"cells.4.edges.{e}.op.1.weight").shape[:2]) for e in ("0_1", "0_2", "1_2")]
    assert shapes == [(2, 7), (2, 7), (2, 2)]
    assert net(torch.randn(2, 3, 8, 8)).shape == (2, 4)


def add_cost(total: Tensor, layer: nn.Module, inputs: Any, output: Tensor) -> None:
    total += torch.tensor(layer_cost(layer, output))


def test_op_costs_are_those_of_the_blocks() -> None:
    """A width costs what its blocks' layers cost in the network with all other layers as wide as possible."""
    space = NatsSize((3, 9, 9), 4, SMALL)
    (found,) = op_costs(space.supernet(), space.cells, space.shape).values()
    for row, (column, width) in itertools.product(range(5), enumerate(SMALL)):
        widths = [width if layer == row else 8 for layer in range(5)]
        net, expected = space.network(from_widths(widths)), torch.zeros(3)
        parts = [net.get_submodule(f"cells.{row}"), *([net.get_submodule("stem")] if row == 0 else [])]
        for conv in (m for part in parts for m in part.modules() if isinstance(m, nn.Conv2d)):
            conv.register_forward_hook(
                lambda m, i, out, to=expected: (to.add_(torch.tensor(layer_cost(m, out))), out)[1]
            )
        net.eval()(torch.randn(1, 3, 9, 9))
        assert torch.equal(found[:, 0, row, column], expected)


def test_edges_of_their_own_are_refused() -> None:
    space = NatsSize((3, 8, 8), 4, SMALL)
    assert isinstance(space.supernet(partial(MixedEdge, add_inactive=False)), SizedSupernet)
    for edge in (PartialChannels, partial(PartialChannels, channel_divisor=2), partial(MixedEdge, add_inactive=True)):
        with pytest.raises(NasError, match="space=nats_size mixes no ops"):
            space.supernet(edge)
    with pytest.raises(NasError, match="deepened"):
        space.deepen({"cell": Cell(((0, 1),), ("8",), (1,))}, 3)


def test_search_then_train(tmp_path: Path) -> None:
    found, trained, other = tmp_path / "found", tmp_path / "trained", tmp_path / "other"
    options = ["space=nats_size", "space.widths=[2,3,5,8]", "method=darts", "epochs=1", *DATA]
    searched = run("search", *options, f"hydra.run.dir={found}")
    searched.succeeded()
    value = json.loads((found / "genotype.json").read_text())
    genotype = load_genotype(found)
    assert value["native"] == native_string(genotype) and value["native"] in searched.said
    assert {link[0] for link in value["cells"]["cell"]["links"]} <= {"2", "3", "5", "8"}
    assert (found / "cell.png").stat().st_size > 5000
    run("train", f"genotype={found}", "epochs=1", f"hydra.run.dir={trained}").succeeded()
    summary = json.loads((trained / "summary.json").read_text())
    assert (summary["genotype"], summary["space"]) == (value["native"], "nats_size")
    assert (summary["parameters"], summary["macs"]) == nats_size_cost(genotype, (3, 8, 8), 10)
    run("train", "genotype=8:16:24:32:40", *TINY, "epochs=1", f"hydra.run.dir={other}").succeeded()
    assert load_genotype(other) == parse("8:16:24:32:40")


def test_mistakes_on_the_command_line(tmp_path: Path) -> None:
    to, size = f"hydra.run.dir={tmp_path / 'new'}", "space=nats_size"
    run("search", size, "method=pc_darts", *TINY, to).refused("PartialChannels", "mixes no ops")
    run("search", size, "method=gdas", "method.edge.add_inactive=true", *TINY, to).refused("add_inactive")
    run("search", size, "method=gdas", "space.mix=blend", *TINY, to).refused("space.mix", "interpolate, mask")
    run("search", size, "method=mask_gumbel", "space.mix=interpolate", *TINY, to).refused("space.mix=mask")
    run("search", size, "method=gdas", "space.widths=[8,4]", *TINY, to).refused("smallest first")
    run("train", "genotype=8:16:24", *TINY, to).refused("five layers")
    run("train", "genotype=8:16:24:32:40", "network.channels=4", *TINY, to).refused("network.channels")
