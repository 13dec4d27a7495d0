"""Golden test of both stages of DOTS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.callbacks.schedules.dots import best_of
from nas.deploy.published_weights import load_published_weights
from nas.relaxations.base import Relaxation
from nas.relaxations.topology import Topology
from nas.spaces.darts.space import Darts
from tests.support.golden_tools import Golden, assert_golden
from tests.support.recent_golden import DOUBLE, batch_of

pytestmark = pytest.mark.data


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_topology_matches_dots(golden: Callable[[str], Golden], dtype: torch.dtype) -> None:
    stored = golden("dots_two_stages")
    given = stored.entry["constructor"]
    space = Darts(
        stored.arrays["x"].shape[1:],
        given["num_classes"],
        channels=given["C"],
        layers=given["layers"],
        ops=given["primitives"],
        lastact=True,
    )
    network = space.supernet().to(dtype).train()
    load_published_weights(network, stored.state())
    relaxation = Topology(space.cells).to(dtype)
    masks = Masks(space.cells)
    free, trained = stored.entry["constructor"]["primitives"][:4], stored.entry["constructor"]["primitives"][4:]
    columns = {"non_params": [space.cells["normal"].ops.index(op) for op in free]}
    columns["params"] = [space.cells["normal"].ops.index(op) for op in trained]
    x, y = batch_of(stored, dtype)
    outputs: dict[str, Tensor] = {}

    for kind, alpha in relaxation.alpha.items():
        for group, part in columns.items():
            alpha.data[:, part] = stored.tensor(f"alphas_{kind}_{group}", dtype)
    arch = relaxation.sample(masks)
    logits = network(x, arch)
    loss = F.cross_entropy(logits, y)
    loss.backward()
    outputs |= {"op_logits": logits, "op_loss": loss}
    for kind, alpha in relaxation.alpha.items():
        outputs[f"op_weights_{kind}"] = arch[kind].op
        assert alpha.grad is not None
        for group, part in columns.items():
            outputs[f"grad_alphas_{kind}_{group}"] = alpha.grad[:, part]
    check_genotype(stored, relaxation, masks, space, "op")

    for kind, alpha in relaxation.alpha.items():
        keep = [best_of(alpha.detach(), group) for group in relaxation.groups(kind, masks.table(kind))]
        masks.restrict(kind, keep[0] | keep[1])
        outputs[f"mask_{kind}"] = masks.table(kind).long()
        balance = stored.tensor(f"alphas_{kind}_balance", dtype)
        alpha.data.zero_()
        for i, part in enumerate(columns.values()):
            alpha.data[:, part] = balance[:, i, None] * masks.table(kind)[:, part]
        relaxation.beta[kind].data.copy_(stored.tensor(f"betas_{kind}"))
        alpha.grad = None
    relaxation.topology, relaxation.tau = True, float(stored.arrays["T"])
    arch = relaxation.sample(masks)
    logits = network(x, arch)
    loss = F.cross_entropy(logits, y)
    loss.backward()
    outputs |= {"tp_logits": logits, "tp_loss": loss}
    for kind, alpha in relaxation.alpha.items():
        outputs[f"tp_weights_{kind}"], outputs[f"tp_edge_weights_{kind}"] = arch[kind].op, arch[kind].edge
        parts = (relaxation.beta[kind] / relaxation.tau).split([1, 3, 6, 10])
        outputs[f"tp_pair_weights_{kind}"] = torch.cat([part.softmax(0) for part in parts])
        outputs[f"grad_betas_{kind}"] = relaxation.beta[kind].grad
        kept = masks.table(kind)
        outputs[f"grad_alphas_{kind}_balance"] = torch.stack(
            [(alpha.grad * kept)[:, part].sum(dim=1) for part in columns.values()], dim=1
        )
    check_genotype(stored, relaxation, masks, space, "tp")

    if dtype == DOUBLE:
        for name in ("grad_betas_normal", "grad_alphas_normal_balance"):
            assert_golden(stored, f"{name}_64", outputs[name])
        return
    for name, value in outputs.items():
        assert_golden(stored, name, value)
    words = {f"{stage}_{kind}_{part}" for stage in ("op", "tp") for kind in space.cells for part in ("ops", "inputs")}
    assert set(stored.entry["outputs"]) == {*outputs, *words, "grad_betas_normal_64", "grad_alphas_normal_balance_64"}


def check_genotype(stored: Golden, relaxation: Relaxation, masks: Masks, space: Darts, stage: str) -> None:
    """Compare the links of the derived genotype with those of a stage, node by node in any order."""
    found = relaxation.mode(masks, dict.fromkeys(space.cells, discretize))
    for kind, cell in found.items():
        ops, inputs = (stored.arrays[f"{stage}_{kind}_{part}"].tolist() for part in ("ops", "inputs"))
        for node in range(4):
            expected = set(zip(ops[2 * node : 2 * node + 2], inputs[2 * node : 2 * node + 2], strict=True))
            assert {(link.op, link.source) for link in cell.links if link.target == node + 2} == expected
