"""Write docs/ranges.md: the ranges of all numeric options, from the classes that declare them.

python tools/ranges.py
"""

from __future__ import annotations

import pydoc
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from nas.cli.checks.foreign_ranges import RANGES  # noqa: E402, after the path
from nas.spaces.darts.space import Darts  # noqa: E402
from nas.spaces.nas_bench_201.space import NasBench201  # noqa: E402
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space  # noqa: E402
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space  # noqa: E402
from nas.utils.ranges import ATTRIBUTE, ranges_of  # noqa: E402

HEADER = """# Ranges of numeric options

A value outside of its range ends with a one-line error; NaN and infinities are in no range. `null` is accepted where
the option allows it. All elements of a list must be in the range. A subclass has the ranges of its base classes too.
`python tools/ranges.py` writes this page.

"""


def targets(node: Any) -> Iterator[str]:
    """Yield the dotted names of the classes and functions that a configuration names."""
    for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from targets(value)
    if isinstance(node, dict) and "_target_" in node:
        yield node["_target_"]


def page() -> str:
    """Return the page."""
    found = {name for file in (ROOT / "conf").rglob("*.yaml") for name in targets(yaml.safe_load(file.read_text()))}
    parts: list[Any] = [pydoc.locate(name) for name in found if name.startswith("nas.")]
    declaring = {base for part in parts for base in (part.__mro__ if isinstance(part, type) else [part])}
    tables = {f"{part.__module__}.{part.__qualname__}": vars(part).get(ATTRIBUTE, {}) for part in declaring}
    for space in (Darts, NasBench201, MobileNetV2Space, ShuffleNetV2Space):
        tables[f"network ({space.__name__})"] = ranges_of(space.network)
    tables |= {f"{name}.*" if name[-1].islower() else name: dict(options) for name, options in RANGES.items()}
    rows = [f"| `{name}` | `{option}` | {tables[name][option]} |" for name in sorted(tables) for option in tables[name]]
    return HEADER + "\n".join(["| part | option | range |", "|---|---|---|", *rows, ""])


if __name__ == "__main__":
    (ROOT / "docs" / "ranges.md").write_text(page())
