"""Tests of the DARTS space with a fixed reduction cell, GDAS (FRC)."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from nas.architecture.cell import Genotype
from nas.nn.drop_path import DropPath
from nas.nn.macs import count_parameters
from nas.spaces.darts.fixed_reduction import FixedReduction
from nas.spaces.darts.notation import parse
from nas.spaces.darts.space import Darts
from nas.utils.errors import NasError
from tests.support.compose_tools import DATA, script, small, succeeded

PAIRS = "('sep_conv_3x3', 0), ('skip_connect', 1)"
FIXED = (
    f"Genotype(normal=[{', '.join([PAIRS] * 4)}], normal_concat=[2, 3, 4, 5], reduce=None, reduce_concat=[2, 3, 4, 5])"
)


def space(**options: object) -> Darts:
    return Darts((3, 32, 32), 10, fixed_reduction=True, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fixed", "affine", "count"), [(0, 0, 1343034), (0, 1, 1363066), (1, 0, 744570), (1, 1, 756346)]
)
def test_supernet_parameters_equal_autodl_projects(fixed: int, affine: int, count: int) -> None:
    """Alphas are not counted."""
    found = Darts(
        (3, 32, 32),
        10,
        layers=6,
        affine=bool(affine),
        pool_norm="none",
        lastact=True,
        conv_bias=None,
        fixed_reduction=bool(fixed),
    )
    with torch.device("meta"):
        network = found.supernet()
    assert count_parameters(network) == count


def test_fixed_reduction_searches_the_normal_cell_only() -> None:
    found = space(channels=4, layers=3)
    assert list(found.cells) == ["normal"]
    genotype = found.sample(random.Random(0))
    assert found.parse(found.native(genotype)) == genotype and "reduce=None" in found.native(genotype)
    network = found.supernet()
    assert [type(cell).__name__ for cell in network.get_submodule("cells")] == ["DartsCell", *["FixedReduction"] * 2]  # type: ignore[union-attr, arg-type]
    torch.manual_seed(0)
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert network(x, found.encode(genotype)).shape == (2, 10)


def test_fixed_reduction_drops_each_branch() -> None:
    torch.manual_seed(0)
    cell = space(channels=8, layers=3).network(parse(FIXED), channels=8, layers=3).get_submodule("cells.1")
    assert isinstance(cell, FixedReduction)
    before, last = torch.randn(64, 24, 8, 8), torch.randn(64, 32, 8, 8)
    plain = cell(before, last)
    assert plain.shape == (64, 64, 4, 4)
    for module in cell.modules():
        if isinstance(module, DropPath):
            module.probability = 0.5
    dropped = cell(before, last)
    for part, whole in zip(dropped.chunk(4, dim=1), plain.chunk(4, dim=1), strict=True):
        zeroed = (part == 0).flatten(1).all(1)
        assert 16 < int(zeroed.sum()) < 48
        torch.testing.assert_close(part[~zeroed], 2 * whole[~zeroed])


def test_fixed_reduction_refuses_indivisible_channels() -> None:
    with pytest.raises(NasError, match="channels=20: .* 8 groups"):
        space(channels=10).supernet()


def test_check_distinguishes_fixed_and_searched_reductions() -> None:
    genotype = parse(FIXED)
    both = Genotype("darts", {"normal": genotype.cells["normal"], "reduce": genotype.cells["normal"]})
    space().check(genotype)
    for built, wrong in ((space(), both), (Darts((3, 32, 32), 10), genotype)):
        with pytest.raises(NasError, match="does not fit space"):
            built.check(wrong)
    with pytest.raises(NasError, match="Only the reduction cell may be fixed"):
        parse("Genotype(normal=None, reduce=None)")


def test_parse_accepts_op_names_of_autodl_projects() -> None:
    assert parse(FIXED.replace("sep_conv_3x3", "dua_sepc_3x3")) == parse(FIXED)


@pytest.mark.slow
def test_search_then_train_with_fixed_reduction(tmp_path: Path) -> None:
    """Training infers the fixed reduction from the genotype."""
    run = f"hydra.run.dir={tmp_path}/search"
    succeeded(script("search", "method=gdas_frc", *small("darts"), *DATA, "epochs=1", run, cwd=tmp_path))
    size = ["network.channels=4", "network.layers=3", f"hydra.run.dir={tmp_path}/train"]
    succeeded(script("train", f"genotype={tmp_path}/search", *DATA, "epochs=1", *size, cwd=tmp_path))
