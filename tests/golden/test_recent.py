"""Golden tests of recent methods: beta-DARTS, Lambda-DARTS, OLES, iDARTS, DOTS, ReinMax, GM-NAS, TangleNAS, LoRA."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import SGD, Adam

from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.callbacks.schedules.dots import best_of
from nas.callbacks.schedules.op_early_stopping import OpEarlyStopping, WatchedOp, watched_ops
from nas.deploy.published_weights import load_published_weights
from nas.gradients.base import Batch, BilevelStep
from nas.gradients.implicit import Implicit
from nas.gradients.matching import divide, gradient_distances
from nas.nn.edges.entangled import EntangledEdge
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.low_rank import LowRankUpdate, adapt
from nas.nn.ops import OpOptions
from nas.objectives.beta_decay import BetaDecay
from nas.objectives.cell_alignment import CellAlignment, correlation
from nas.relaxations.base import Relaxation, masked_softmax
from nas.relaxations.reinmax import reinmax
from nas.relaxations.softmax import Softmax
from nas.relaxations.topology import Topology
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from tests.golden.test_common import Comparison, our_names
from tests.support.golden_tools import Golden, assert_golden

pytestmark = pytest.mark.data
DOUBLE = torch.float64


def same(tensors: list[Tensor]) -> list[Tensor]:
    return tensors


def nas_bench_201(
    stored: Golden, dtype: torch.dtype = torch.float32, relaxation: Any = Softmax, arch: ArchStep | None = None
) -> GradientSearch:
    """Build a search on NAS-Bench-201 with the weights and alpha of a golden, in training mode."""
    given = stored.entry["constructor"]
    images = next(stored.arrays[name] for name in ("x", "x_train") if name in stored.arrays)
    space = NasBench201(images.shape[1:], given["num_classes"], given["C"], given["N"], conv_bias=False)
    search = GradientSearch(space, relaxation, WeightStep(partial(SGD, lr=0.025)), arch).to(dtype)
    load_published_weights(search.supernet, stored.state())
    search.relaxation.alpha["cell"].data.copy_(stored.tensor("alpha"))
    return search.train()


def batch_of(stored: Golden, dtype: torch.dtype, suffix: str = "") -> Batch:
    return stored.tensor(f"x{suffix}", dtype), stored.tensor(f"y{suffix}")


def norms(names: list[str], search: GradientSearch, tensors: dict[str, Tensor]) -> np.ndarray[Any, Any]:
    """Return the norm of the tensor of each reference parameter."""
    return np.array([float(tensors[name].norm()) for name in our_names(names, search.supernet)])


def test_beta_decay_matches_beta_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden("beta_decay_nb201")
    compare = Comparison(stored)
    for dtype in (torch.float32, DOUBLE):
        decay = BetaDecay(0.5 * int(stored.arrays["epoch"]))
        adam = partial(Adam, lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
        search = nas_bench_201(stored, dtype, arch=ArchStep(adam, regularizer=decay))
        alpha = search.relaxation.alpha["cell"]
        penalty = decay(search.relaxation.alpha, search.masks) / decay.factor
        loss = search.loss(batch_of(stored, dtype))
        plain = loss - decay.factor * penalty
        (of_penalty,) = torch.autograd.grad(penalty, alpha, retain_graph=True)
        (of_loss,) = torch.autograd.grad(plain, alpha, retain_graph=True)
        (alpha.grad,) = torch.autograd.grad(loss, alpha)
        total = alpha.grad.clone()
        assert search.arch_step.optimizer is not None
        search.arch_step.optimizer([alpha]).step()
        if dtype == torch.float32:
            compare.equal("weight", np.float32(decay.factor))
            compare.equal("regulariser", penalty)
            compare.equal("regulariser_grad", of_penalty)
            compare.equal("val_loss", plain)
            compare.equal("val_grad", of_loss)
        suffix = "" if dtype == torch.float32 else "_64"
        compare.equal(f"alpha_grad{suffix}", total)
        compare.equal(f"alpha_after{suffix}", alpha)
    compare.finish()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_cell_alignment_matches_lambda_darts(golden: Callable[[str], Golden], dtype: torch.dtype) -> None:
    stored = golden("lambda_nb201")
    suffix = "" if dtype == torch.float32 else "_64"
    own = [name for name in stored.entry["outputs"] if name.endswith("64") == bool(suffix) and "exact" not in name]
    compare = Comparison(stored, own)
    search = nas_bench_201(stored, dtype)
    x, y = batch_of(stored, dtype)
    alignment = CellAlignment(factor=1.0, radius=float(stored.arrays["epsilon_0"]))
    arch = {name: row.detach() for name, row in search.relaxation.sample(search.masks).items()}
    split = alignment.split(search.supernet, arch)
    loss = F.cross_entropy(search.supernet(x, split.arch), y)
    loss.backward()
    layers = torch.stack([shift.grad.flatten() for shift in split.shifts["cell"].values() if shift.grad is not None])
    directions = torch.stack(list(alignment.directions(split, same).values()))
    length = alignment.radius / directions.norm()
    weights = {name: p for name, p in search.supernet.named_parameters() if p.grad is not None}
    found = alignment.gradient(
        split, lambda other: F.cross_entropy(search.supernet(x, other), y), list(weights.values()), same
    )
    own_grads = {name: p.grad for name, p in weights.items() if p.grad is not None}
    pull = dict(zip(weights, found, strict=True))
    total = {name: grad + float(stored.arrays["lambda_"]) * pull[name] for name, grad in own_grads.items()}
    names = stored.arrays["param_names"].tolist()
    compare.equal(f"layer_grads{suffix}", layers)
    compare.equal(f"perturbations{suffix}", length * directions)
    compare.equal(f"reg_l2{suffix}", norms(names, search, pull).astype(stored.arrays[f"reg_l2{suffix}"].dtype))
    compare.equal(f"reg_stem{suffix}", pull["stem.0.weight"])
    compare.equal(f"total_l2{suffix}", norms(names, search, total).astype(stored.arrays[f"total_l2{suffix}"].dtype))
    compare.equal(f"total_stem{suffix}", total["stem.0.weight"])
    if not suffix:
        compare.equal("param_names", np.array(names))
        compare.equal("loss", loss)
        compare.equal("correlation", correlation(layers, "cosine"))
        compare.equal("epsilon", length)
        compare.equal("grad_l2", norms(names, search, own_grads).astype(np.float32))
        compare.equal("total_classifier", total["classifier.weight"])
    else:
        assert_golden(stored, "reg_stem_exact64", pull["stem.0.weight"])
        assert_golden(stored, "reg_exact64", norms(names, search, pull))
    compare.finish()


@pytest.mark.parametrize("compared", ["accumulated", "validation"])
def test_op_early_stopping_matches_oles(golden: Callable[[str], Golden], compared: Any) -> None:
    stored = golden("oles_check")
    name = {"accumulated": "accumulated", "validation": "plain"}[compared]
    compare = Comparison(stored, [output for output in stored.entry["outputs"] if output.endswith(name)])
    given = stored.entry["constructor"]
    callback = OpEarlyStopping(given["window"], given["threshold"], compared)
    ops, steps = len(stored.arrays["ops"]), int(stored.arrays["steps"])
    keys = [
        [key.removeprefix("train/") for key in stored.arrays if key.startswith(f"train/{op}/")] for op in range(ops)
    ]
    weights = {key: nn.Parameter(torch.zeros(stored.arrays[f"train/{key}"].shape[1:])) for part in keys for key in part}
    callback.watch(
        [WatchedOp("cell", 0, op, tuple(keys[op]), tuple(keys[op])) for op in range(ops)], weights, torch.device("cpu")
    )
    scores = torch.zeros(steps, ops)
    means: list[list[float]] = [[] for _ in range(ops)]
    frozen_at = [-1] * ops
    for step in range(steps):
        train, val = ({key: stored.tensor(f"{half}/{key}")[step] for key in weights} for half in ("train", "val"))
        left = [op for op in range(ops) if op not in callback.frozen and keys[op]]
        scores[step] = callback.scores(train, val, left)
        for op in left:
            if callback.counts[op] == callback.window:
                means[op].append(float(callback.sums[op] + scores[step, op]) / callback.window)
        callback.add(train, val, left)
        for op in left:
            if op in callback.frozen:
                frozen_at[op] = step
    shape = stored.arrays[f"window_mean_{name}"].shape
    table = np.full(shape, np.nan, dtype=np.float32)
    for op, values in enumerate(means):
        table[op, : len(values)] = values
    compare.equal(f"cosine_{name}", scores)
    compare.equal(f"window_mean_{name}", table)
    compare.equal(f"frozen_at_{name}", np.array(frozen_at))
    assert all(not weights[key].requires_grad for op in callback.frozen for key in keys[op])
    compare.finish()


@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE])
def test_scores_of_a_supernet_match_oles(golden: Callable[[str], Golden], dtype: torch.dtype) -> None:
    stored = golden("oles_supernet")
    given = stored.entry["constructor"]
    shape = stored.arrays["x_train"].shape[1:]
    space = Darts(shape, given["num_classes"], channels=given["C"], layers=given["layers"], ops=given["primitives"])
    search = GradientSearch(space, Softmax, WeightStep(partial(SGD, lr=0.025))).to(dtype).train()
    load_published_weights(search.supernet, stored.state())
    for kind in ("normal", "reduce"):
        search.relaxation.alpha[kind].data.copy_(stored.tensor(f"alphas_{kind}"))
    arch = {name: row.detach() for name, row in search.relaxation.sample(search.masks).items()}
    optimizer = SGD(search.supernet.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    x, y = batch_of(stored, dtype, "_train")
    train_loss = F.cross_entropy(search.supernet(x, arch), y)
    train_loss.backward()
    grad_norm = nn.utils.clip_grad_norm_(search.supernet.parameters(), 5.0)
    optimizer.step()
    ops = list(watched_ops(search))
    kernels = [name for op in ops for name in op.kernels]
    train = {name: search.weights[name].grad.clone() for name in kernels}  # type: ignore[union-attr]
    x, y = batch_of(stored, dtype, "_val")
    val_loss = F.cross_entropy(search.supernet(x, arch), y)
    grads = torch.autograd.grad(val_loss, [search.weights[name] for name in kernels])
    suffix = "" if dtype == torch.float32 else "_64"
    order = op_order(stored, search, ops)
    for compared, name in (("accumulated", "accumulated"), ("validation", "plain")):
        callback = OpEarlyStopping(compared=compared)  # type: ignore[arg-type]
        callback.watch(ops, search.weights, torch.device("cpu"))
        callback.sums = callback.sums.to(dtype)
        found = callback.scores(train, dict(zip(kernels, grads, strict=True)), range(len(ops)))
        assert_golden(stored, f"score_{name}{suffix}", found[order])
    if not suffix:
        for key, value in (("train_loss", train_loss), ("val_loss", val_loss), ("grad_norm", grad_norm)):
            assert_golden(stored, key, value)


def op_order(stored: Golden, search: GradientSearch, ops: list[WatchedOp]) -> list[int]:
    """Return for each op of the golden its position among the watched ops; all of them are in both lists."""
    first = [f"{name}.op.1.weight" for name in stored.arrays["op_names"].tolist()]
    positions = {op.kernels[0]: i for i, op in enumerate(ops)}
    found = [positions[name] for name in our_names(first, search.supernet)]
    assert sorted(found) == list(range(len(ops)))
    return found


def test_reinmax_matches_reinmax(golden: Callable[[str], Golden]) -> None:
    stored = golden("reinmax_nb201")
    compare = Comparison(stored)
    for dtype in (torch.float32, DOUBLE):
        logits = stored.tensor("logits", dtype).requires_grad_()
        mask = torch.ones_like(logits, dtype=torch.bool)
        one_hot = F.one_hot(stored.tensor("index"), logits.shape[1]).to(dtype)
        found, both = [], []
        for tau in stored.arrays["taus"]:
            hard, soft = reinmax(logits, mask, one_hot, float(tau)), masked_softmax(logits, mask)
            upstream = stored.tensor("upstream_sample", dtype)
            found.append(torch.autograd.grad(hard, logits, upstream)[0])
            of_soft = torch.autograd.grad(soft, logits, stored.tensor("upstream_soft", dtype))[0]
            both.append(found[-1] + of_soft)
        if dtype == torch.float32:
            compare.equal("hard", hard)
            compare.equal("soft", soft)
            compare.equal("grad", torch.stack(found))
            compare.equal("grad_both", torch.stack(both))
        else:
            compare.equal("grad_64", torch.stack(found))
    logits = stored.tensor("logits").requires_grad_()
    quadratic, linear = stored.tensor("Q"), stored.tensor("b")
    p = logits.softmax(-1)
    mean = torch.zeros_like(p)
    for column in range(p.shape[1]):
        one_hot = F.one_hot(torch.full((len(p),), column), p.shape[1]).float()
        v = reinmax(logits, mask, one_hot, 1.0)
        (grad,) = torch.autograd.grad(((v @ quadratic) * v).sum() + (v @ linear).sum(), logits)
        mean += p.detach()[:, column, None] * grad
    values = quadratic.diagonal() + linear  # of the function at each one-hot vector
    (exact,) = torch.autograd.grad((p @ values).sum(), logits)
    compare.equal("mean_quadratic", mean)
    compare.equal("true_quadratic", exact)
    compare.finish()


@pytest.mark.parametrize("radius", [True, False])
def test_implicit_gradient_matches_idarts(golden: Callable[[str], Golden], radius: bool) -> None:
    stored = golden("idarts_nb201")
    gamma, r = float(stored.arrays["gamma"]), float(stored.arrays["r"])
    search = nas_bench_201(stored, DOUBLE)
    weights = dict(search.supernet.named_parameters())
    before = [p.detach().clone() for p in weights.values()]
    batches = [batch_of(stored, DOUBLE, f"_{half}") for half in ("train", "val")]
    alphas = [search.relaxation.alpha["cell"]]
    step = BilevelStep(search.loss, alphas, weights, *batches, SGD(weights.values(), gamma), same)
    if radius:
        (found,) = Implicit(order=stored.entry["constructor"]["terms"] - 1, radius=r)(step)
        assert_golden(stored, "hypergradient_64", found)
        (direct,) = torch.autograd.grad(search.loss(batches[1], weights), alphas)
        assert_golden(stored, "direct_grad", direct.float())
        torch.testing.assert_close((direct - found) / gamma, stored.tensor("implicit_grad_64"), rtol=1e-6, atol=1e-6)
    else:
        exact = torch.stack([Implicit(order=k)(step)[0] for k in range(len(stored.arrays["hypergradient_exact64"]))])
        assert_golden(stored, "hypergradient_exact64", exact)
    assert all(torch.equal(old, new) for old, new in zip(before, weights.values(), strict=True))


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


def test_gradient_matching_matches_gm_nas(golden: Callable[[str], Golden]) -> None:
    stored = golden("gm_split_nb201")
    compare = Comparison(stored)
    grads = [stored.tensor(f"grad/{i}") for i in range(int(stored.arrays["n_params"]))]
    found = {name: gradient_distances(grads, name) for name in ("cosine", "per_filter", "squared")}  # type: ignore[arg-type]
    for ours, theirs in (("cosine", "cos"), ("per_filter", "per_filter_cos"), ("squared", "mse")):
        compare.equal(f"distance_{theirs}", found[ours])
    division = divide(found["cosine"], "cut")
    compare.equal("group", np.array([int(op in division.second) for op in range(len(grads[0]))]))
    compare.equal("score", np.float32(division.score))
    compare.finish()


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
