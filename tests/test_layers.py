"""Check the imports of the package: rooms depend downward only, and no two modules import each other in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "nas").rglob("*.py"))
ENTRY_POINTS = [ROOT / "search.py", ROOT / "train.py"]

# Each folder of nas/ with the folders it may import, the lowest first.
ROOMS: dict[str, str] = {
    "utils": "",
    "executors": "utils",
    "zoo": "utils",
    "leaderboard": "utils zoo",
    "architecture": "utils",
    "gradients": "utils",
    "nn": "utils architecture",
    "relaxations": "utils architecture",
    "data": "utils architecture nn",
    "spaces": "utils zoo architecture nn",
    "choices": "utils architecture nn spaces",
    "objectives": "utils architecture nn gradients spaces",
    "benchmarks": "utils architecture spaces",
    "deploy": "utils architecture nn spaces",
    "latency": "utils architecture nn spaces deploy",
    "plotting": "utils architecture spaces benchmarks",
    "report": "utils architecture spaces plotting",
    "proxies": "utils executors architecture nn spaces benchmarks",
    "searches": "utils executors architecture nn gradients relaxations objectives data spaces proxies",
    "blackbox": "utils executors architecture objectives data spaces latency benchmarks proxies searches",
    "training": "utils nn objectives spaces",
    "callbacks": (
        "utils architecture nn gradients relaxations data spaces benchmarks plotting searches blackbox training"
    ),
}
ALLOWED = {room: frozenset(below.split()) for room, below in ROOMS.items()}
ALLOWED["cli"] = frozenset(ROOMS)  # the command line composes everything

# The rooms of nas/cli, the lowest first: each may import those before it. A command line goes through them from the
# right: main parses and completes it (overrides), checks it, and runs a job, which builds its parts.
CLI_ROOMS = (
    "early_interrupt errors startup streams command_list",
    "entry",
    "run_dir",
    "interrupt overrides",
    "study launchers",
    "checks",
    "own_parts budget build_parts",
    "build worker_context",
    "jobs",
    "main",
    "commands",
    "programs",
    "search train",
)
CLI_ORDER = {name: position for position, names in enumerate(CLI_ROOMS) for name in names.split()}
HYDRA_INTERNALS = "nas.cli.overrides.hydra_internals"

Graph = Mapping[str, set[str]]


def module_name(file: Path) -> str:
    """Return the dotted name of a file of the package: nas/spaces/__init__.py is ``nas.spaces``."""
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(source: str) -> Iterator[str]:
    """Yield the dotted names of nas that a source imports, imports inside functions included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "nas")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "nas":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def relative_imports(source: str) -> list[int]:
    """Return the lines with relative imports."""
    return [n.lineno for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom) and n.level]


def resolve(name: str, modules: frozenset[str]) -> str:
    """Return the module that holds a dotted name: ``nas.spaces.base.Space`` is in ``nas.spaces.base``."""
    while name not in modules:
        name = name.rpartition(".")[0]
    return name


def room_of(module: str) -> str:
    """Return the folder directly below nas/ that holds a module, "" for the package itself."""
    return module.split(".")[1] if "." in module else ""


def violations(room: str, source: str) -> list[str]:
    """List the imports of a file of ``room`` that do not point downward."""
    found = [f"line {line}: relative import, write it absolutely" for line in relative_imports(source)]
    if room not in ALLOWED:
        return [*found, f"nas/{room} is missing from ROOMS in {Path(__file__).name}"]
    used = {room_of(name) for name in imports(source)} - {room}
    return found + [f"nas/{room} must not import nas/{other}" for other in sorted(used) if other not in ALLOWED[room]]


def cycles(graph: Graph) -> list[list[str]]:
    """Return every group of nodes that reach each other (Tarjan's strongly connected components above one node)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph.get(node, ())):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def module_graph() -> dict[str, set[str]]:
    modules = frozenset(module_name(file) for file in FILES)
    return {
        module_name(file): {resolve(name, modules) for name in imports(file.read_text())} - {module_name(file)}
        for file in FILES
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_downward(file: Path) -> None:
    room = room_of(module_name(file))
    if file.parent.name == "nas":  # __init__.py and __main__.py offer the public functions and commands
        return
    found = violations(room, file.read_text())
    assert not found, f"{file.relative_to(ROOT)}: " + "; ".join(found)


@pytest.mark.parametrize("file", ENTRY_POINTS, ids=lambda file: file.name)
def test_entry_points_import_the_command_line_only(file: Path) -> None:
    assert {room_of(name) for name in imports(file.read_text())} <= {"cli"}


def test_contributing_describes_each_folder_of_the_package() -> None:
    table = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where things are")[2].partition("\n## ")[0]
    folders = {path.parent.name for path in (ROOT / "nas").glob("*/__init__.py")}
    assert sorted(folder for folder in folders if f"`{folder}`" not in table) == []


def test_package_has_no_loose_modules() -> None:
    assert {file.name for file in (ROOT / "nas").glob("*.py")} == {"__init__.py", "__main__.py"}


def test_modules_have_no_import_cycle() -> None:
    assert cycles(module_graph()) == []


def cli_violations(graph: Graph) -> list[str]:
    """List the imports between rooms of nas/cli that do not point to the left in CLI_ROOMS."""
    found = []
    for module, used in graph.items():
        if not module.startswith("nas.cli."):
            continue
        room = module.split(".")[2]
        others = {name.split(".")[2] for name in used if name.startswith("nas.cli.")} - {room}
        wrong = sorted(other for other in others if CLI_ORDER[other] >= CLI_ORDER[room])
        found += [f"{module} must not import {other}" for other in wrong]
    return found


def test_command_line_is_one_line_of_rooms() -> None:
    assert cli_violations(module_graph()) == []


def test_cli_violations_finds_the_wrong_direction() -> None:
    graph = {
        "nas.cli.build": {"nas.cli.checks.options"},
        "nas.cli.checks.options": {"nas.cli.build", "nas.utils.atomic_write"},
    }
    assert cli_violations(graph) == ["nas.cli.checks.options must not import build"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_hydra_internals_have_one_boundary(file: Path) -> None:
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    internal = [name for name in names if name.startswith(("hydra._internal", "hydra.core.override_parser"))]
    assert not internal or module_name(file) == HYDRA_INTERNALS


def test_rooms_are_listed_lowest_first() -> None:
    rooms = list(ALLOWED)
    for position, room in enumerate(rooms):
        assert ALLOWED[room] <= set(rooms[:position]), room
    assert sum(map(len, ALLOWED.values())) < 115


@pytest.mark.parametrize(
    ("room", "source", "expected"),
    [
        ("spaces", "from nas.utils.errors import NasError", ""),
        ("spaces", "from nas.spaces.base import Space\nfrom nas.nn import ops", ""),
        ("spaces", "def f():\n    import nas.searches.base", "nas/spaces must not import nas/searches"),
        ("nn", "from .ops import OPS", "line 1: relative import"),
        ("newcomer", "", "nas/newcomer is missing from ROOMS"),
        ("cli", "import nas.callbacks\nimport torch", ""),
    ],
)
def test_violations_finds_upward_imports(room: str, source: str, expected: str) -> None:
    found = violations(room, source)
    assert expected in found[0] if expected else not found


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({"a": {"b"}, "b": {"c"}}, []),
        ({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}, [["a", "b", "c"]]),
        ({"a": {"b"}, "b": {"a"}, "c": {"d"}, "d": {"c"}}, [["a", "b"], ["c", "d"]]),
    ],
)
def test_cycles_finds_every_circle(graph: Graph, expected: list[list[str]]) -> None:
    assert sorted(cycles(graph)) == expected
