"""Masks of the remaining candidates."""

from __future__ import annotations

import torch

from nas.architecture.cell import Cell
from nas.architecture.masks import Masks

CELL = Cell(((0, 1), (0, 2), (1, 2)), ("none", "conv"), (2,), excluded=frozenset({(1, "conv")}))


def test_masked_entries_never_return() -> None:
    masks = Masks({"cell": CELL})
    assert masks.lists("cell") == [[True, True], [True, False], [True, True]] and not masks.full("cell")
    masks.restrict("cell", torch.tensor([[False, True], [True, True], [True, True]]))
    masks.restrict("cell", torch.tensor([[True, True], [True, True], [True, False]]))
    assert masks.lists("cell") == masks.table("cell").tolist() == [[False, True], [True, False], [True, False]]


def test_lists_follow_a_loaded_state() -> None:
    saved, masks = Masks({"cell": CELL}), Masks({"cell": CELL})
    saved.restrict("cell", torch.tensor([[False, True]] * 3))
    masks.load_state_dict(saved.state_dict())
    assert masks.lists("cell") == saved.lists("cell") == [[False, True], [False, False], [False, True]]


def test_full_masks() -> None:
    masks = Masks({"cell": Cell(CELL.edges, CELL.ops, CELL.output)})
    assert masks.full("cell")
    masks.restrict("cell", torch.tensor([[True, True], [True, True], [True, False]]))
    assert not masks.full("cell")
