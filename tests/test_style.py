"""The house rules that a parser can check; needs nothing but the standard library and pytest."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "nas").rglob("*.py"))
SCRIPTS = [*filter(Path.is_file, (ROOT / "search.py", ROOT / "train.py")), *sorted((ROOT / "tools").glob("*.py"))]
COMMAND_LINE = ROOT / "nas" / "cli"

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(tree: ast.AST) -> Iterator[Function]:
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def long_parts(source: str) -> list[str]:
    """A file over 300 lines, functions over 50."""
    lines = source.count("\n")
    found = [f"{lines} lines, at most 300"] if lines > 300 else []
    for node in functions(ast.parse(source)):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > 50:
            found.append(f"line {node.lineno}: {node.name} has {length} lines, at most 50")
    return found


def smells(source: str) -> list[str]:
    """Calls of ``.cuda()`` and ``deepcopy``, ``except`` without a type."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: bare except")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
            found.append(f"line {node.lineno}: .cuda(), Lightning moves things")
        if isinstance(node, ast.Name | ast.Attribute | ast.alias):
            name = {ast.Name: "id", ast.Attribute: "attr", ast.alias: "name"}[type(node)]
            if getattr(node, name) == "deepcopy":
                found.append(f"line {node.lineno}: deepcopy")
    return found


def untyped(source: str) -> list[str]:
    """Public functions with an argument or a result that has no type; ``self`` and ``cls`` need none."""
    found = []
    for node in functions(ast.parse(source)):
        if node.name.startswith("_") and node.name != "__init__":
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
        bare = [a.arg for a in arguments if a is not None and a.annotation is None and a.arg not in ("self", "cls")]
        bare += ["its result"] if node.returns is None else []
        if bare:
            found.append(f"line {node.lineno}: {node.name} gives no type to {', '.join(bare)}")
    return found


def imported(source: str) -> set[str]:
    """The top-level packages that a source imports."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
    return {name.split(".")[0] for name in names}


def deep_classes(sources: list[str]) -> list[str]:
    """Classes more than two levels below the first of our own: a base of a base of a base that is ours."""
    bases: dict[str, list[str]] = {}
    for source in sources:
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                plain = (base.value if isinstance(base, ast.Subscript) else base for base in node.bases)
                bases[node.name] = [ast.unparse(base).split(".")[-1] for base in plain]

    def depth(name: str, below: tuple[str, ...] = ()) -> int:
        # A class may bear the name of the foreign class that it extends: that one is not ours.
        ours = [base for base in bases[name] if base in bases and base not in (*below, name)]
        return max((1 + depth(base, (*below, name)) for base in ours), default=0)

    return [f"{name} is {depth(name)} levels below our first class" for name in bases if depth(name) > 2]


def test_inheritance_is_shallow() -> None:
    assert not deep_classes([file.read_text() for file in LIBRARY])


@pytest.mark.parametrize("file", [*LIBRARY, *SCRIPTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_house_style(file: Path) -> None:
    source = file.read_text()
    found = long_parts(source) + smells(source)
    if file in LIBRARY:
        found += untyped(source)
        if COMMAND_LINE not in file.parents:
            found += [f"imports {name}" for name in sorted(imported(source) & {"hydra", "omegaconf"})]
    assert not found, f"{file.relative_to(ROOT)}: " + "; ".join(found)


def test_long_parts_are_found() -> None:
    assert long_parts("def f():\n" + "    pass\n" * 49) == []
    assert long_parts("def f():\n" + "    pass\n" * 50) == ["line 1: f has 51 lines, at most 50"]
    assert long_parts("\n" * 300) == [] and long_parts("\n" * 301) == ["301 lines, at most 300"]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("try:\n    pass\nexcept:\n    pass", "bare except"),
        ("x = x.cuda()", ".cuda()"),
        ("import copy\ncopy.deepcopy(x)", "deepcopy"),
        ("from copy import deepcopy", "deepcopy"),
        ("if torch.cuda.is_available():\n    pass", ""),
    ],
)
def test_smells_are_found(source: str, expected: str) -> None:
    found = smells(source)
    assert expected in found[0] if expected else not found


def test_missing_types_are_found() -> None:
    assert untyped("def f(x, *, y: int): ...") == ["line 1: f gives no type to x, its result"]
    assert untyped("def f(*args: int, **rest) -> None: ...") == ["line 1: f gives no type to rest"]
    assert untyped("class A:\n    def f(self, x: int) -> None: ...\n    def _g(self, x): ...") == []


def test_imports_are_found() -> None:
    assert imported("def f():\n    from hydra.utils import call\n    import numpy.linalg") == {"hydra", "numpy"}


def test_deep_classes_are_found() -> None:
    sources = ["class A(nn.Module): ...", "class B(m.A): ...\nclass C(B): ...", "class D(C[int]): ..."]
    assert deep_classes(sources[:2]) == []
    assert deep_classes(sources) == ["D is 3 levels below our first class"]
