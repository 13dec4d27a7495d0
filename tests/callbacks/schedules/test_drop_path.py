"""Drop path during a search."""

from __future__ import annotations

from typing import Any

from nas.callbacks.schedules.drop_path import SupernetDropPath
from nas.nn.drop_path import DropPath
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.spaces.nas_bench_201.space import NasBench201
from tests.support.search_tools import weight_step


def test_supernet_drop_path_sets_the_probability_of_all_cells() -> None:
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=2)
    search, trainer = GradientSearch(space, Softmax, weight_step()), Any
    paths = [module for module in search.supernet.modules() if isinstance(module, DropPath)]
    assert len(paths) == 6 and {path.probability for path in paths} == {0.0}
    SupernetDropPath(probability=0.3).on_train_epoch_start(trainer, search)  # type: ignore[arg-type]
    assert {path.probability for path in paths} == {0.3}
