"""Imports within nas point downwards: through the layers, and within a layer to what stands before."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = [*sorted((ROOT / "nas").rglob("*.py")), *filter(Path.is_file, (ROOT / "search.py", ROOT / "train.py"))]

# Each layer with the layers it may import; modules of one layer may import those listed before them.
LAYERS: list[tuple[list[str], set[int]]] = [
    (
        [
            *["errors", "zoo", "generators", "schedulers", "rates", "weight_decay"],
            *["cells", "evaluation", "masks", "derivations"],
        ],
        set(),
    ),
    (["drop_path", "ops", "norm", "edges", "graph", "fused_ops", "fused_graph"], {0}),
    (["relaxations", "tasks", "data"], {0}),
    (["spaces", "benchmarks"], {0, 1}),
    (
        [
            *["files", "count", "strongest", "concrete", "resources", "rewards", "gradients", "curvature", "widening"],
            *["perturbations", "scores", "layout", "bars", "plot", "trajectory", "interop", "strategies", "anytime"],
            *["deploy"],
        ],
        {0, 1, 3},
    ),
    (["searches", "evaluators", "training", "scan"], {0, 1, 2, 3, 4}),
    (["callbacks"], {0, 1, 2, 3, 4, 5}),
    (["app", "search", "train"], {0, 1, 2, 3, 4, 5, 6}),
]
PLACE = {module: (layer, row) for layer, (modules, _) in enumerate(LAYERS) for row, module in enumerate(modules)}


def top_level(dotted: str) -> str:
    """``nas.spaces.darts`` -> ``spaces``; ``search`` stays; the package itself is ``nas``."""
    parts = dotted.split(".")
    return parts[1] if parts[0] == "nas" and len(parts) > 1 else parts[0]


def targets(source: str) -> tuple[set[str], list[int]]:
    """The top-level modules of nas that a source imports, and the lines with relative imports."""
    found: set[str] = set()
    relative: list[int] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {top_level(alias.name) for alias in node.names if alias.name.split(".")[0] == "nas"}
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                relative.append(node.lineno)
            elif node.module == "nas":
                found |= {alias.name for alias in node.names if alias.name in PLACE}
            elif node.module and node.module.startswith("nas."):
                found.add(top_level(node.module))
    return found, relative


def violations(module: str, source: str) -> list[str]:
    """What is wrong with the imports of ``source``, a file of the top-level ``module``."""
    imports, relative = targets(source)
    found = [f"line {line}: write imports within nas absolutely" for line in relative]
    unlisted = sorted(name for name in imports | {module} if name not in PLACE)
    if unlisted:
        return found + [f"{name} has no layer: add it to LAYERS in {Path(__file__).name}" for name in unlisted]
    layer, row = PLACE[module]
    for name in sorted(imports - {module}):
        below, place = PLACE[name]
        if not (place < row if below == layer else below in LAYERS[layer][1]):
            found.append(f"{module} (layer {layer}) imports {name} (layer {below})")
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_downwards(file: Path) -> None:
    module = top_level(".".join(file.relative_to(ROOT).with_suffix("").parts))
    if module == "__init__":
        return
    found = violations(module, file.read_text())
    assert not found, f"{file.relative_to(ROOT)}: " + "; ".join(found)


def test_no_module_is_listed_twice() -> None:
    assert len(PLACE) == sum(len(modules) for modules, _ in LAYERS)


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("cells", "from nas.errors import NasError", ""),
        ("errors", "from nas.cells import Cell", "errors (layer 0) imports cells (layer 0)"),
        ("spaces", "from nas.spaces.space import Space\nfrom nas import ops", ""),
        ("spaces", "def f():\n    import nas.searches.search", "spaces (layer 3) imports searches (layer 5)"),
        ("scores", "from nas.relaxations.softmax import Softmax", "scores (layer 4) imports relaxations (layer 2)"),
        ("ops", "from .cells import Cell", "absolutely"),
        ("ops", "from nas.newcomer import x", "newcomer has no layer: add it to LAYERS"),
        ("newcomer", "", "newcomer has no layer: add it to LAYERS"),
        ("app", "import nas.callbacks\nimport torch", ""),
    ],
)
def test_violations_are_found(module: str, source: str, expected: str) -> None:
    found = violations(module, source)
    assert expected in found[0] if expected else not found
