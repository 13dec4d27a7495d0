"""Golden tests of OLES: the gradient-matching scores of a supernet and the ops that stop early."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD

from nas.callbacks.schedules.op_early_stopping import OpEarlyStopping, WatchedOp, watched_ops
from nas.deploy.published_weights import load_published_weights
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.darts.space import Darts
from tests.golden.test_common import Comparison, our_names
from tests.support.golden_tools import Golden, assert_golden
from tests.support.recent_golden import DOUBLE, batch_of

pytestmark = pytest.mark.data


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
