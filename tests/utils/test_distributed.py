"""Values of the first rank on all ranks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch.distributed as dist

from nas.utils.distributed import on_first_rank
from nas.utils.errors import NasError
from nas.utils.rank import rank_of
from tests.support.rank_tools import on_two_ranks


def fail() -> None:
    raise NasError("dataset.root=x: missing")


def measure(rank: int) -> list[object]:
    """Return the value of the first rank, and the error of a function that fails there."""
    value = on_first_rank(lambda: f"rank {dist.get_rank()}")
    try:
        on_first_rank(fail)
    except NasError as error:
        return [value, str(error)]
    return [value]


def test_ranks_have_the_value_or_the_error_of_the_first(tmp_path: Path) -> None:
    assert on_two_ranks(measure, tmp_path) == [["rank 0", "dataset.root=x: missing"]] * 2
    assert on_first_rank(lambda: 3) == 3
    with pytest.raises(NasError, match="dataset.root=x: missing"):
        on_first_rank(fail)


def test_rank_over_all_machines_comes_first() -> None:
    assert rank_of({}) == "0" and rank_of({"LOCAL_RANK": "1"}) == "1"
    assert rank_of({"LOCAL_RANK": "1", "SLURM_PROCID": "5"}) == "5"
