"""Golden tests of shared op weights: weight entanglement and LoRA, as in confopt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from nas.nn.edges.entangled import EntangledEdge
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.low_rank import LowRankUpdate, adapt
from nas.nn.ops import OpOptions
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, assert_golden
from tests.support.recent_golden import DOUBLE

pytestmark = pytest.mark.data


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_entangled_edge_matches_confopt(golden: Callable[[str], Golden], dtype: torch.dtype) -> None:
    stored = golden("entangled_edge")
    given = stored.entry["constructor"]
    ops = given["ops"]
    options = OpOptions(affine=given["affine"], pool_norm="plain")
    edges = [kind(ops, given["C"], given["stride"], options).to(dtype).train() for kind in (EntangledEdge, MixedEdge)]
    for edge in edges:
        tensors = {**dict(edge.named_parameters()), **dict(edge.named_buffers())}
        for key, value in stored.state(dtype=dtype).items():
            if ops[int(key[0])] in edge:
                tensors[edge_name(key, ops)].data.copy_(value)
    edge, plain = edges
    weights = stored.tensor("weights", dtype).requires_grad_()
    x = stored.tensor("x", dtype).requires_grad_()
    active = [True] * len(ops)
    out = edge(x, EdgeRow(weights.unbind(), active, None))
    out.backward(stored.tensor("upstream", dtype))
    if dtype == DOUBLE:
        assert_golden(stored, "grad_weights_64", weights.grad)
        return
    compare = Comparison(stored, [name for name in stored.entry["outputs"] if name != "grad_weights_64"])
    compare.equal("output", out)
    compare.equal("grad_weights", weights.grad)
    compare.equal("grad_x", x.grad)
    names = stored.arrays["param_names"].tolist()
    compare.equal("param_names", np.array(names))
    used = {name: edge.get_parameter(edge_name(name, ops)).grad for name in names if ops[int(name[0])] in edge}
    compare.equal("grad_l2", np.array([float(used[n].norm()) if n in used else -1 for n in names], dtype=np.float32))
    for name in stored.entry["outputs"]:
        if name.startswith("grad/"):
            compare.equal(name, edge.get_parameter(edge_name(name.removeprefix("grad/"), ops)).grad)
    with torch.no_grad():
        scale = torch.tensor([2.0 if op.startswith("sep") else 1.0 for op in ops])
        compare.equal("output_sep_doubled", edge(x, EdgeRow((weights * scale).unbind(), active, None)))
        compare.equal("output_without_entanglement", plain(x, EdgeRow(weights.unbind(), active, None)))
    compare.finish()


def edge_name(name: str, ops: list[str]) -> str:
    """Return the name of a tensor in an edge, given its published name."""
    op, rest = ops[int(name[0])], name[2:].replace(".conv.weight", ".weight")
    return f"{op}.{rest.removeprefix('op.') if 'pool' in op else rest}"


def test_low_rank_update_matches_confopt(golden: Callable[[str], Golden]) -> None:
    stored = golden("lora_conv")
    compare = Comparison(stored)
    for case in range(int(stored.arrays["n"])):
        inputs, outputs, kernel, stride, padding, dilation, groups, rank, scale = stored.arrays[
            f"geometry/{case}"
        ].tolist()
        conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
        conv.weight.data.copy_(stored.tensor(f"weight/{case}"))
        update = LowRankUpdate(conv, rank, scale)
        update.down.data.copy_(stored.tensor(f"A/{case}"))
        update.up.data.copy_(stored.tensor(f"B/{case}"))
        adapt(conv, update)
        y = conv(stored.tensor(f"x/{case}"))
        y.square().mean().backward()
        compare.equal(f"y/{case}", y)
        compare.equal(f"grad_A/{case}", update.down.grad)
        compare.equal(f"grad_B/{case}", update.up.grad)
        compare.equal(f"merged/{case}", conv.weight)
        assert [p.requires_grad for p in (conv.parametrizations.weight.original, update.up)] == [False, True]  # type: ignore[union-attr, index]
    compare.finish()
