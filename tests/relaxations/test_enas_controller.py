"""The controller of ENAS: probabilities of its decisions, written out with its own layers."""

from __future__ import annotations

import pytest
import torch

from nas.architecture.masks import Masks
from nas.relaxations.enas_controller import Controller
from nas.spaces.nas_bench_201.space import NasBench201

CELLS = NasBench201((3, 8, 8), 10).cells


@pytest.mark.parametrize("masked", [False, True])
def test_log_prob_and_entropy_follow_the_recurrence(masked: bool) -> None:
    """Each edge takes one decision, with logits 2.5 tanh(logits / 5), fed back through its embedding."""
    torch.manual_seed(0)
    controller = Controller(CELLS, hidden=8, spread=1.0).double()
    masks = Masks(CELLS)
    if masked:
        keep = torch.ones(6, 5, dtype=torch.bool)
        keep[:, 1] = False
        masks.restrict("cell", keep)
    path = controller.sample_path(masks)
    chosen = path.arch["cell"].op.argmax(dim=1).tolist()
    assert path.arch["cell"].op.sum(dim=1).tolist() == [1.0] * 6
    state, x = None, controller.first
    log_prob, entropy = 0.0, 0.0
    for column in chosen:
        hidden, state = controller.lstm(x[None], state)
        logits = 2.5 * torch.tanh(controller.op_head(hidden[0, 0]) / 5)
        if masked:
            logits[1] = -torch.inf
        p = logits.softmax(0)
        log_prob += float(p[column].log().detach())
        entropy -= sum(float((q * q.log()).detach()) for q in p if q > 0)
        x = controller.embedding.weight[column][None]
    assert float(path.log_prob.detach()) == pytest.approx(log_prob, rel=1e-9)
    assert float(path.entropy.detach()) == pytest.approx(entropy, rel=1e-9)
    assert not masked or 1 not in chosen


def test_alpha_counts_the_ops_of_paths() -> None:
    controller, masks = Controller(CELLS), Masks(CELLS)
    paths = [controller.sample(masks) for _ in range(5)]
    controller.update_alpha(paths)
    counts = torch.stack([path["cell"].op for path in paths]).sum(0)
    torch.testing.assert_close(controller.alpha["cell"].detach(), (1 + counts).log())
