"""nas.utils.direction: direction of metrics by name."""

import pytest

from nas.utils.direction import direction_of, higher_is_better


@pytest.mark.parametrize(
    ("name", "direction"),
    [
        ("val/accuracy", "max"),
        ("test_top5_accuracy", "max"),
        ("benchmark/test", None),
        ("spearman", None),
        ("test_perplexity", "min"),
        ("val/loss", "min"),
        ("calibration_error", "min"),
    ],
)
def test_direction_follows_from_the_name(name: str, direction: str | None) -> None:
    assert direction_of(name) == direction and higher_is_better(name) is (direction != "min")
