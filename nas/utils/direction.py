"""Direction of metrics, minimized or maximized, by their names."""

from __future__ import annotations

import re
from typing import Literal

LOWER_IS_BETTER = frozenset(["error", "loss", "perplexity"])
HIGHER_IS_BETTER = frozenset(["accuracy"])


def direction_of(name: str) -> Literal["min", "max"] | None:
    """Return the better side of a metric such as ``val/accuracy`` or ``val/perplexity``, None if it is unknown."""
    words = set(re.split(r"[/_ ]", name))
    if words & LOWER_IS_BETTER:
        return "min"
    return "max" if words & HIGHER_IS_BETTER else None


def higher_is_better(name: str) -> bool:
    """Return whether higher values of a result are better, which holds for all unknown ones."""
    return direction_of(name) != "min"
