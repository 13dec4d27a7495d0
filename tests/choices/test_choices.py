"""Each choice against a computation by hand, and its part in the network of a genotype."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import Link
from nas.choices import Choice, InputChoice, Repeat, Width, Zero
from nas.utils.errors import NasError
from tests.support.choice_models import conv
from tests.support.choice_tools import weigh

X = torch.arange(2 * 3 * 4 * 4, dtype=torch.float64).reshape(2, 3, 4, 4) / 50 - 1


class Times(nn.Module):
    """Multiply by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, extra: float = 0.0) -> Tensor:
        return x * self.factor + extra


def link(op: str, source: int = 0, target: int = 1) -> Link:
    return Link(op, source, target)


def test_choice_is_the_weighted_sum_of_active_candidates() -> None:
    choice = Choice({"a": Times(2.0), "b": Times(3.0), "none": Zero()}, name="c")
    weigh(choice, [[0.5, 0.25, 0.25]])
    torch.testing.assert_close(choice(X), X * (0.5 * 2 + 0.25 * 3))
    weigh(choice, [[0.5, 0.25, 0.25]], [[True, False, False]])
    torch.testing.assert_close(choice(X, extra=2.0), X + 1)
    torch.testing.assert_close(choice(X), X)
    choice.add_inactive = True
    torch.testing.assert_close(choice(X), X + 0.5)
    assert choice.chosen([link("b")]) is choice.candidates[1]
    assert choice.cell().keeps_none and not Choice([Zero()]).cell().keeps_none
    assert Choice([Zero(), nn.ReLU()]).options == ("Zero_0", "ReLU_1")


def test_repeat_is_the_weighted_sum_over_depths() -> None:
    repeat = Repeat(lambda number: Times(number + 2.0), depths=(0, 1, 3))
    assert [block.factor for block in repeat.blocks] == [2.0, 3.0, 4.0]
    weigh(repeat, [[0.2, 0.3, 0.5]])
    torch.testing.assert_close(repeat(X), X * (0.2 + 0.3 * 2 + 0.5 * 24))
    weigh(repeat, [[0.2, 0.3, 0.5]], [[False, True, False]])
    torch.testing.assert_close(repeat(X), X * 0.6)
    torch.testing.assert_close(repeat.chosen([link("3")])(X, 1.0), ((X * 2 + 1) * 3 + 1) * 4 + 1)
    assert torch.equal(repeat.chosen([link("0")])(X), X)
    assert len(Repeat([Times(1.0), Times(2.0)], depths=(1,)).blocks) == 1
    assert len(Repeat(partial(Times, 1.0), depths=(1, 2)).blocks) == 2


def test_width_multiplies_by_the_sum_of_prefix_masks() -> None:
    torch.manual_seed(0)
    layer = conv(3, 4, 3).double()
    width = Width(layer, (1, 2, 4))
    weigh(width, [[0.2, 0.3, 0.5]])
    expected = layer(X) * torch.tensor([1.0, 0.8, 0.5, 0.5], dtype=torch.float64).view(4, 1, 1)
    torch.testing.assert_close(width(X), expected)
    linear = Width(nn.Sequential(nn.Linear(4, 6), nn.GELU()), (2, 6), into=nn.Linear(6, 3))
    weigh(linear, [[0.25, 0.75]])
    hidden = linear.layer(X) * torch.tensor([1.0, 1.0, 0.75, 0.75, 0.75, 0.75], dtype=torch.float64)
    assert linear.into is not None
    torch.testing.assert_close(linear(X), linear.into(hidden))


@pytest.mark.parametrize("into", [False, True])
@pytest.mark.parametrize("chosen", [0, 1, 2])
def test_narrow_layers_equal_the_masked_ones(into: bool, chosen: int) -> None:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(6, 6, 3, 1, 1, groups=6)
    layer = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.ReLU(), depthwise, nn.Sigmoid())
    last = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(6, 6, 3, groups=6, padding=1, bias=False), nn.Conv2d(6, 5, 1))
    widths = (2, 3, 6)
    width = Width(layer, widths, into=last if into else None).double()
    with torch.no_grad():
        width(X) if width.rows else weigh(width, [[float(i == chosen) for i in range(3)]])
        layer[1].weight.uniform_(0.5, 2)
        layer[1].bias.uniform_(-1, 1)
    expected = width(X)
    parameters = sum(p.numel() for p in width.parameters())
    narrow = width.chosen([link(str(widths[chosen]))])
    torch.testing.assert_close(narrow(X), expected, rtol=1e-12, atol=1e-12)
    assert (sum(p.numel() for p in narrow.parameters()) < parameters) == (chosen < 2)
    assert layer[0].out_channels == layer[3].groups == widths[chosen]


def test_inputs_are_weighted_by_their_sets() -> None:
    choice = InputChoice(3, keep=2)
    assert choice.cell().ops == ("0-1", "0-2", "1-2")
    weigh(choice, [[0.5, 0.3, 0.2]])
    torch.testing.assert_close(choice([X, 2 * X, X + 1]), 0.8 * X + 0.7 * 2 * X + 0.5 * (X + 1))
    weigh(choice, [[0.0, 1.0, 0.0]], [[False, True, False]])
    torch.testing.assert_close(choice([X, 2 * X, X + 1]), 2 * X + 1)
    torch.testing.assert_close(choice.chosen([link("0-2")])([X, 2 * X, X + 1]), 2 * X + 1)


def test_inputs_with_candidates_are_a_node() -> None:
    choice = InputChoice(2, keep=1, candidates=[{"a": Times(2.0), "none": Zero()}, {"b": Times(3.0)}])
    cell = choice.cell()
    assert (cell.edges, cell.ops, cell.inputs) == (((0, 2), (1, 2)), ("a", "none", "b"), 1)
    assert cell.choices(0) == ["a"] and cell.choices(1) == ["b"]
    weigh(choice, [[0.5, 0.5, 0.0], [0.0, 0.0, 0.25]], cell.allowed().tolist())
    torch.testing.assert_close(choice([X, X + 1]), X + 0.75 * (X + 1))
    weigh(choice, [[0.0] * 3] * 2, [[False] * 3] * 2)
    assert not choice([X, X + 1]).any()
    torch.testing.assert_close(choice.chosen([link("b", 1, 2), link("a", 0, 2)])([X, X + 1]), 3 * (X + 1) + 2 * X)
    every = InputChoice(2, keep=None, candidates=[{"a": Times(2.0), "none": Zero()}] * 2).cell()
    assert every.keeps_none and every.choices(0) == ["a", "none"]


def test_zero() -> None:
    assert Zero(2, 5)(X).shape == (2, 5, 2, 2) and not Zero()(X).any()


MISTAKES: dict[str, tuple[Any, str]] = {
    "no candidates": (lambda: Choice([], name="stem"), "Choice 'stem' has no candidates"),
    "class": (lambda: Choice([nn.ReLU]), "'type_0', which is not a module but ReLU"),  # type: ignore[list-item]
    "option": (lambda: Choice({"a b": nn.ReLU()}), "the candidate 'a b'"),
    "block": (lambda: Repeat(nn.ReLU(), (1, 2)), "Repeat(lambda: ReLU(...), depths=(1, 2))"),
    "depths": (lambda: Repeat(nn.ReLU, (2, 1)), "depths=[2, 1]"),
    "blocks": (lambda: Repeat([nn.ReLU()], (1, 2), name="d"), "Repeat 'd' has 1 blocks"),
    "widths": (lambda: Width(conv(3, 4, 3), (4, 2)), "widths=[4, 2]"),
    "largest": (lambda: Width(conv(3, 4, 3), (2, 3), name="w"), "Width 'w' has widths=[2, 3], but Conv2d has 4"),
    "reader": (lambda: Width(conv(3, 4, 3), (2, 4), into=nn.Linear(5, 2)), "but Linear has 5 channels"),
    "layer norm": (
        lambda: Width(nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)), (2, 4)),
        "cannot be narrowed at LayerNorm",
    ),
    "norm behind": (
        lambda: Width(conv(3, 4, 3), (2, 4), into=nn.Sequential(nn.BatchNorm2d(4), conv(4, 2, 1))),
        "cannot be narrowed at BatchNorm2d",
    ),
    "no layer": (lambda: Width(nn.ReLU(), (2, 4)), "no convolution or linear layer"),
    "keep": (lambda: InputChoice(2, keep=3), "keeps 3 of 2 inputs"),
    "sets": (lambda: InputChoice(20, keep=10), "184756 sets"),
    "inputs": (lambda: InputChoice(2, candidates=[[nn.ReLU()]]), "candidates for 1 of 2 inputs"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_one_line(mistake: str) -> None:
    build, expected = MISTAKES[mistake]
    with pytest.raises(NasError) as error:
        build()
    assert expected in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice({"a": nn.Identity(), "b": nn.AvgPool2d(2)}), "'a' [2, 3, 4, 4], 'b' [2, 3, 2, 2]"),
        (Choice({"a": nn.LSTM(4, 4)}), "'a', which returns tuple"),
        (Repeat(lambda: nn.AvgPool2d(2), (0, 1)), "'0' [2, 3, 4, 4], '1' [2, 3, 2, 2]"),
    ],
)
def test_outputs_of_different_shapes_are_refused(choice: Any, expected: str) -> None:
    weigh(choice, [[1.0] * len(choice.cell().ops)])
    with pytest.raises(NasError) as error:
        choice(X if "tuple" not in expected else X[:, 0])
    assert expected in str(error.value)


def test_choices_run_in_supernets_only() -> None:
    with pytest.raises(NasError, match="outside of a supernet"):
        Choice([nn.ReLU()])(X)
    with pytest.raises(NasError, match="got 1 inputs, and has 2"):
        InputChoice(2)([X])
