"""Golden test of both stages of DOTS."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nas.architecture.cell import Architecture
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


class Stages:
    """Run the two stages of DOTS on a stored supernet and collect their tensors in ``outputs``."""

    def __init__(self, stored: Golden, dtype: torch.dtype) -> None:
        given = stored.entry["constructor"]
        self.stored, self.dtype = stored, dtype
        self.space = Darts(
            stored.arrays["x"].shape[1:],
            given["num_classes"],
            channels=given["C"],
            layers=given["layers"],
            ops=given["primitives"],
            lastact=True,
        )
        self.network = self.space.supernet().to(dtype).train()
        load_published_weights(self.network, stored.state())
        self.relaxation = Topology(self.space.cells).to(dtype)
        self.masks = Masks(self.space.cells)
        ops, free = self.space.cells["normal"].ops, given["primitives"][:4]
        self.columns = {"non_params": [ops.index(op) for op in free]}
        self.columns["params"] = [ops.index(op) for op in given["primitives"][4:]]
        self.outputs: dict[str, Tensor] = {}

    def step(self, stage: str) -> Architecture:
        """Run a forward and a backward pass of a sample, and compare the genotype of the stage."""
        x, y = batch_of(self.stored, self.dtype)
        arch = self.relaxation.sample(self.masks)
        logits = self.network(x, arch)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        self.outputs |= {f"{stage}_logits": logits, f"{stage}_loss": loss}
        self.outputs |= {f"{stage}_weights_{kind}": weights.op for kind, weights in arch.items()}
        check_genotype(self.stored, self.relaxation, self.masks, self.space, stage)
        return arch

    def op_stage(self) -> None:
        """Search for the ops of each edge."""
        for kind, alpha in self.relaxation.alpha.items():
            for group, part in self.columns.items():
                alpha.data[:, part] = self.stored.tensor(f"alphas_{kind}_{group}", self.dtype)
        self.step("op")
        for kind, alpha in self.relaxation.alpha.items():
            assert alpha.grad is not None
            for group, part in self.columns.items():
                self.outputs[f"grad_alphas_{kind}_{group}"] = alpha.grad[:, part]

    def begin_topology(self) -> None:
        """Keep the best op of each group, and load the stored parameters of the second stage."""
        relaxation, masks = self.relaxation, self.masks
        for kind, alpha in relaxation.alpha.items():
            keep = [best_of(alpha.detach(), group) for group in relaxation.groups(kind, masks.table(kind))]
            masks.restrict(kind, keep[0] | keep[1])
            self.outputs[f"mask_{kind}"] = masks.table(kind).long()
            balance = self.stored.tensor(f"alphas_{kind}_balance", self.dtype)
            alpha.data.zero_()
            for i, part in enumerate(self.columns.values()):
                alpha.data[:, part] = balance[:, i, None] * masks.table(kind)[:, part]
            relaxation.beta[kind].data.copy_(self.stored.tensor(f"betas_{kind}"))
            alpha.grad = None
        relaxation.topology, relaxation.tau = True, float(self.stored.arrays["T"])

    def topology_stage(self) -> None:
        """Search for the pair of edges of each node."""
        arch, relaxation, outputs = self.step("tp"), self.relaxation, self.outputs
        for kind, alpha in relaxation.alpha.items():
            edge = arch[kind].edge
            assert edge is not None and alpha.grad is not None
            outputs[f"tp_edge_weights_{kind}"] = edge
            parts = (relaxation.beta[kind] / relaxation.tau).split([1, 3, 6, 10])
            outputs[f"tp_pair_weights_{kind}"] = torch.cat([part.softmax(0) for part in parts])
            grad = relaxation.beta[kind].grad
            assert grad is not None
            outputs[f"grad_betas_{kind}"] = grad
            kept = alpha.grad * self.masks.table(kind)
            groups = [kept[:, part].sum(dim=1) for part in self.columns.values()]
            outputs[f"grad_alphas_{kind}_balance"] = torch.stack(groups, dim=1)


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_topology_matches_dots(golden: Callable[[str], Golden], dtype: torch.dtype) -> None:
    stored = golden("dots_two_stages")
    stages = Stages(stored, dtype)
    stages.op_stage()
    stages.begin_topology()
    stages.topology_stage()
    outputs = stages.outputs
    if dtype == DOUBLE:
        for name in ("grad_betas_normal", "grad_alphas_normal_balance"):
            assert_golden(stored, f"{name}_64", outputs[name])
        return
    for name, value in outputs.items():
        assert_golden(stored, name, value)
    kinds = stages.space.cells
    words = {f"{stage}_{kind}_{part}" for stage in ("op", "tp") for kind in kinds for part in ("ops", "inputs")}
    assert set(stored.entry["outputs"]) == {*outputs, *words, "grad_betas_normal_64", "grad_alphas_normal_balance_64"}


def check_genotype(stored: Golden, relaxation: Relaxation, masks: Masks, space: Darts, stage: str) -> None:
    """Compare the links of the derived genotype with those of a stage, node by node in any order."""
    found = relaxation.mode(masks, dict.fromkeys(space.cells, discretize))
    for kind, cell in found.items():
        ops, inputs = (stored.arrays[f"{stage}_{kind}_{part}"].tolist() for part in ("ops", "inputs"))
        for node in range(4):
            expected = set(zip(ops[2 * node : 2 * node + 2], inputs[2 * node : 2 * node + 2], strict=True))
            assert {(link.op, link.source) for link in cell.links if link.target == node + 2} == expected
