"""Tests of the gradient search: its constructor, its result, and the interface that callbacks use."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch

from nas.architecture.discretization import discretize, discretize_with_max_skips
from nas.nn.edges.partial_channels import PartialChannels
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.space import NatsSize
from nas.utils.errors import NasError
from tests.support.search_tools import arch_step, weight_step

SHAPE = (3, 8, 8)


def build(space: Any = None, **options: Any) -> GradientSearch:
    torch.manual_seed(0)
    space = NasBench201(SHAPE, 10, channels=2, cells_per_stage=1) if space is None else space
    return GradientSearch(space, lambda cells: Softmax(cells, init_std=1.0), weight_step(), **options)


def test_gradient_search_has_few_arguments() -> None:
    assert len(inspect.signature(GradientSearch).parameters) <= 10


def test_gradient_search_without_arch_step_has_no_arch_optimizer() -> None:
    assert build().arch_step.optimizer is None
    assert build(arch_step=arch_step()).arch_step.optimizer is not None


def test_gradient_search_refuses_edges_of_other_spaces() -> None:
    with pytest.raises(NasError, match="PartialChannels"):
        build(NatsSize(SHAPE, 4, (2, 3, 5, 8)), edge=PartialChannels)


def test_gradient_search_genotype_uses_the_discretization_of_each_cell() -> None:
    """A mapping of rules applies to its cell types only; the default rule applies to all others."""
    search = build(Darts(SHAPE, 10, channels=2, layers=3), discretization={"normal": discretize_with_max_skips})
    for alpha in search.relaxation.alpha.values():
        alpha.data[:, search.space.cells["normal"].ops.index("skip_connect")] = 9.0
    cells = search.genotype().cells
    scores = search.relaxation.scores(search.masks)
    assert cells["normal"] == discretize_with_max_skips(search.space.cells["normal"], scores["normal"])
    assert cells["reduce"] == discretize(search.space.cells["reduce"], scores["reduce"])
    assert sum(link.op == "skip_connect" for link in cells["normal"].links) == 2


def test_gradient_search_replaces_its_supernet() -> None:
    search = build().double()
    supernet = search.space.supernet()
    search.replace_supernet(supernet)
    assert search.supernet is supernet and search.weights == dict(supernet.named_parameters())
    assert next(supernet.parameters()).dtype == torch.float64
    assert search.weight_optimizer() is None, "there is no optimizer before the training starts"


def test_gradient_search_state_dict_excludes_options() -> None:
    """Only the masks, the supernet and the relaxation have state."""
    assert {key.split(".")[0] for key in build().state_dict()} == {"masks", "supernet", "relaxation"}
