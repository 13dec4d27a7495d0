"""Golden tests of the supernets and networks of Single Path One-Shot and DSNAS."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from nas.architecture.cell import Architecture, EdgeWeights
from nas.architecture.masks import Masks
from nas.blackbox.evaluators.supernet import recalibrate
from nas.deploy.published_weights import load_published_weights, translate_state_dict
from nas.nn.macs import count_parameters
from nas.objectives.classification import Classification
from nas.objectives.resource_penalty import ResourcePenalty
from nas.relaxations.single_path import SinglePath, path_weights
from nas.spaces.base import Network
from nas.spaces.single_path.chain import chain_from_ops
from nas.spaces.single_path.chain_body import CHAIN
from nas.spaces.single_path.shufflenet_v2 import OPS, UNITS, ShuffleNetV2Space
from tests.golden.test_common import Comparison, our_names
from tests.support.golden_tools import Golden, golden_names

pytestmark = pytest.mark.data

SMOOTH = Classification(label_smoothing=0.1)
THRESHOLD = 290.0


def space_of(given: Mapping[str, Any], x: Tensor, **options: Any) -> ShuffleNetV2Space:
    """Return the space of the reduced sizes; its average pool covers the whole last feature map, as theirs."""
    stem, *widths, head = given["widths"]
    strides = [2] * len(widths)
    size = -(-x.shape[-1] // 2 ** (1 + len(widths)))
    assert given["pool"] == size
    return ShuffleNetV2Space(
        tuple(x.shape[1:]),  # type: ignore[arg-type]
        given["classes"],
        *(tuple(UNITS), widths, given["repeats"], strides),
        stem_width=stem,
        head=head,
        dropout=0.0,
        **options,
    )


def architecture(space: ShuffleNetV2Space, path: Sequence[int]) -> Architecture:
    """Return the one-hot weights of a path of op numbers."""
    return space.encode(chain_from_ops(space.notation, [list(UNITS)[int(op)] for op in path]))


def loaded(space: ShuffleNetV2Space, state: Mapping[str, Tensor]) -> Network:
    network = space.supernet()
    load_published_weights(network, state)
    return network


@pytest.mark.parametrize("name", golden_names("mobile_supernet"))
def test_spos_supernet_matches_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare, given = Comparison(stored), stored.entry["constructor"]
    x, y = stored.tensor("x"), stored.tensor("y")
    space = space_of(given, x, affine=False)
    for number, path in enumerate(stored.arrays["paths"]):
        network, arch, prefix = loaded(space, stored.state()), architecture(space, path), f"path{number}/"
        with torch.no_grad():
            compare.equal(f"{prefix}eval_logits", network.eval()(x, arch))
        logits = network.train()(x, arch)
        loss = SMOOTH.loss(logits, y)
        loss.backward()
        compare.equal(f"{prefix}train_logits", logits)
        compare.equal(f"{prefix}train_loss", loss)
        compare.equal(f"{prefix}grad_stem", network.get_parameter("first_conv.0.weight").grad)
        compare.equal(f"{prefix}grad_classifier", network.get_parameter("classifier.weight").grad)
        compare.gradients(network, prefix)
        buffers = dict(network.named_buffers())
        names = our_names(stored.arrays[f"{prefix}buffer_names"].tolist(), network)
        compare.left.remove(f"{prefix}buffer_names")
        sums = np.array([float(buffers[buffer].double().sum()) for buffer in names], dtype=np.float32)
        compare.equal(f"{prefix}buffer_sum_after", sums)

    network, arch = loaded(space, stored.state()), architecture(space, stored.arrays["paths"][0])
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    with torch.no_grad():
        recalibrate(network, norms, stored.tensor("calib_x"), arch)
        compare.equal("recalibrated/eval_logits", network(x, arch))
    for part, norm in (("stem", "first_conv.1"), ("last", "conv_last.1")):
        compare.equal(f"recalibrated/{part}_bn_mean", network.get_buffer(f"{norm}.running_mean"))
        compare.equal(f"recalibrated/{part}_bn_var", network.get_buffer(f"{norm}.running_var"))
    compare.finish()


class Sampled(SinglePath):
    """Relaxation with a given sample and given parameters."""

    def __init__(self, space: ShuffleNetV2Space, alpha: Tensor, sample: Tensor) -> None:
        super().__init__(space.cells)
        self.alpha[CHAIN].data = alpha.clone()
        self.chosen = sample

    def sample(self, masks: Masks) -> Architecture:
        weights = path_weights(self.alpha[CHAIN].log_softmax(dim=-1), self.chosen)
        return {CHAIN: EdgeWeights(weights, F.one_hot(self.chosen, weights.shape[1]).bool().tolist())}


class DsnasStep:
    """One step of the golden: the gradient of alpha, and the reward of each layer.

    The program of one of W processes divides loss and log-probability by W, but not the cost. Our gradient equals W * W
    times that of this process if the coefficient of the cost is multiplied by W * W.
    """

    def __init__(self, stored: Golden, dtype: torch.dtype, sample: Tensor) -> None:
        given, x = stored.entry["constructor"], stored.tensor("x", dtype)
        options = {"affine": given["affine"], "affine_ends": True, "norm_eps": given["eps"]}
        self.space = space_of(given, x, **options)
        self.network = loaded(self.space, stored.state()).to(dtype).train()
        self.relaxation = Sampled(self.space, stored.tensor("log_alpha", dtype), sample)
        self.arch = self.relaxation.sample(Masks(self.space.cells))
        self.logits = self.network(x, self.arch)
        self.loss = SMOOTH.loss(self.logits, stored.tensor("y"))

    def gradient(self, costs: Tensor | None = None, coefficient: float = 0.0, processes: int = 1) -> Tensor:
        """Return the gradient of alpha, with the cost term if ``costs`` [layers, ops] in millions are given."""
        total = self.loss
        if costs is not None:
            penalty = ResourcePenalty(
                self.network,
                self.space.cells,
                self.space.shape,
                **{"kind": "macs", "estimator": "probability", "log": False, "average": False},  # type: ignore[arg-type]
                strength=coefficient * processes**2,
                min_macs=THRESHOLD,
            )
            penalty.get_buffer(CHAIN)[1] = costs
            total = total + penalty.to(costs.dtype)(self.arch, self.relaxation, Masks(self.space.cells))
        alpha = self.relaxation.alpha[CHAIN]
        (found,) = torch.autograd.grad(total, alpha, retain_graph=True)
        return found / processes**2

    def rewards(self) -> Tensor:
        """Return the gradient of the loss by the weight of the sampled op of each layer."""
        (grad,) = torch.autograd.grad(self.loss, self.arch[CHAIN].op, retain_graph=True)
        self.loss.backward(retain_graph=True)
        return grad.gather(1, self.relaxation.chosen[:, None]).squeeze(1)


@pytest.mark.parametrize("name", golden_names("mobile_dsnas"))
def test_dsnas_step_matches_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare, given = Comparison(stored), stored.entry["constructor"]
    sample = stored.tensor("sample")
    fixed = sample.clone()
    fixed[stored.tensor("fixed_rows")] = stored.tensor("fixed_ops")
    cases = sorted({output.split("/")[0] for output in compare.left if output.endswith("grad_log_alpha")})
    for case in cases:
        processes = int(case.split("_")[0].removeprefix("world")) if case.startswith("world") else 1
        table = "flops_high" if case.endswith("_flops") else case if case.startswith("flops") else None
        for dtype, suffix in ((torch.float32, ""), (torch.float64, "64")):
            step = DsnasStep(stored, dtype, fixed if case == "fixed" else sample)
            costs = None if table is None else stored.tensor(table, dtype)
            compare.equal(f"{case}/grad_log_alpha{suffix}", step.gradient(costs, given["coef"], processes))
            if suffix or f"{case}/logits" not in compare.left:
                continue
            compare.equal(f"{case}/logits", step.logits)
            compare.equal(f"{case}/loss", step.loss)
            chosen = step.relaxation.chosen[:, None]
            log_probability = step.relaxation.alpha[CHAIN].log_softmax(dim=-1).gather(1, chosen).sum()
            compare.equal(f"{case}/log_prob_sum", log_probability)
            compare.equal(f"{case}/reward", step.rewards())
            compare.equal(f"{case}/grad_stem", step.network.get_parameter("first_conv.0.weight").grad)
            compare.gradients(step.network, f"{case}/")
    child = DsnasStep(stored, torch.float32, stored.tensor("log_alpha").argmax(dim=-1))
    network = loaded(child.space, stored.state()).eval()
    with torch.no_grad():
        compare.equal("child/eval_logits", network(stored.tensor("x"), child.arch))
    compare.finish()


@pytest.mark.parametrize("name", golden_names("mobile_eval"))
def test_networks_match_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare, given = Comparison(stored), stored.entry["constructor"]
    x, y = stored.tensor("x"), stored.tensor("y")
    scales = given.get("scales") or [1.0] * len(given["arch"])
    ops = [
        list(UNITS)[op] if scale == 1.0 else f"{list(UNITS)[op]}_{scale}"
        for op, scale in zip(given["arch"], scales, strict=True)
    ]
    assert set(ops) <= set(OPS)
    space = space_of(given, x)
    network = space.network(chain_from_ops(space.notation, ops), norm_eps=given.get("eps", 1e-5))
    load_published_weights(network, stored.state())
    with torch.no_grad():
        compare.equal("eval_logits", network.eval()(x))
    logits = network.train()(x)
    loss = SMOOTH.loss(logits, y)
    loss.backward()
    compare.equal("train_logits", logits)
    compare.equal("train_loss", loss)
    compare.equal("num_parameters", np.int64(count_parameters(network)))
    compare.equal("grad_stem", network.get_parameter("first_conv.0.weight").grad)
    compare.gradients(network)
    compare.finish()


def test_numbered_ops_of_a_supernet_are_translated() -> None:
    space = ShuffleNetV2Space((3, 16, 16), 4, widths=(8, 12), depths=(2, 1), strides=(2, 1), stem_width=4, head=8)
    names = {
        "features.0.1.branch_proj.0.weight": torch.zeros(()),
        "features.2.3.branch_main.1.running_mean": torch.ones(()),
    }
    assert list(translate_state_dict(names, space.supernet())) == [
        "features.graph.edges.0_1.shuffle_5x5.branch_proj.0.weight",
        "features.graph.edges.2_3.xception_3x3.branch_main.1.running_mean",
    ]
