"""nas.spaces.darts.skeleton: sizes of the layers outside the cells."""

from __future__ import annotations

import pytest

from nas.spaces.darts.skeleton import Skeleton, Stem
from nas.utils.errors import NasError


@pytest.mark.parametrize(
    ("stem", "multiplier", "expected"), [("cifar", None, 48), ("imagenet", None, 16), ("cifar", 1, 16)]
)
def test_width_of_the_stem(stem: Stem, multiplier: int | None, expected: int) -> None:
    assert Skeleton(16, 8, stem, multiplier).stem_width == expected


def test_reductions_are_at_thirds_of_the_depth() -> None:
    assert [Skeleton(16, layers).reductions for layers in (1, 2, 3, 8, 20)] == [(0, 0), (0, 1), (1, 2), (2, 5), (6, 13)]


def test_skeletons_that_are_too_small_are_refused() -> None:
    with pytest.raises(NasError, match=r"channels=1, stem_multiplier=1: too few channels for the imagenet stem"):
        Skeleton(1, 8, "imagenet").stem_width  # noqa: B018, the property raises
