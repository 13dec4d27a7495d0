"""The house rules that a parser can check; needs nothing but the standard library and pytest."""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "nas").rglob("*.py"))
SCRIPTS = [*filter(Path.is_file, (ROOT / "search.py", ROOT / "train.py")), *sorted((ROOT / "tools").glob("*.py"))]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
YAML = sorted((ROOT / "conf").rglob("*.yaml"))
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
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
    """Calls of ``.cuda()``, ``deepcopy`` and methods of paths that raise RuntimeError, ``except`` without a type."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"line {node.lineno}: bare except")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
            found.append(f"line {node.lineno}: .cuda(), Lightning moves things")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args:
            if node.func.attr == "expanduser":
                found.append(f"line {node.lineno}: .expanduser() raises for unknown users, use user_path")
            if node.func.attr == "resolve" and "__file__" not in ast.unparse(node):
                found.append(f"line {node.lineno}: .resolve() raises for a link to itself, use real_path")
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


def uneven_rows(source: str) -> list[str]:
    """List printed rows (a name, spaces, values) whose values do not begin in the common column."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("log.info", "log.warning") and node.args:
            text = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
            row = re.match(r"[a-z]+(?:[ -][a-z]+)?  +(?=\S)", str(text))
            if row and row.end() != ROW_COLUMN:
                found.append(f"line {node.lineno}: '{row[0].strip()}' has its values in column {row.end()}")
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


QUESTION_WORDS = ("What", "Where", "Which", "How", "Whether")
BANNED = re.compile(r"\b(anew|goes on|at hand|says so|mend)\b", re.IGNORECASE)
ROW_COLUMN = 15  # first character of the values in a printed row
LONGEST_LINE, LONGEST_SENTENCE = 120, 35  # characters of a line of prose; words of a sentence in a docstring


def docstrings(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring: of modules, classes, functions, and of assignments they follow."""
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        for child in body if isinstance(body, list) else []:
            value = child.value if isinstance(child, ast.Expr) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield child.lineno, inspect.cleandoc(value.value)


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def literals(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string, docstrings and the parts of f-strings included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value


def sentences(text: str) -> Iterator[str]:
    """Split a docstring into sentences; a paragraph, a list item and an entry of Args end one as well."""
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.)\s)|\n(?=\s+\w+: )|:\n", text):
        yield from re.split(r"(?<=[.!?])\s+", " ".join(block.split()))


def riddles(source: str) -> list[str]:
    """List docstrings that start with a question word, and sentences of docstrings that are too long."""
    found = []
    for line, text in docstrings(source):
        if text.startswith(QUESTION_WORDS):
            found.append(f"line {line}: the docstring begins with {text.split()[0]}")
        lengths = [len(sentence.split()) for sentence in sentences(text)]
        if max(lengths, default=0) > LONGEST_SENTENCE:
            found.append(f"line {line}: a sentence of {max(lengths)} words, at most {LONGEST_SENTENCE}")
    return found


def banned(parts: Iterable[tuple[int, str]]) -> list[str]:
    """List the banned words in texts."""
    return [f"line {line}: '{found[0]}'" for line, text in parts for found in BANNED.finditer(text)]


def long_prose(text: str) -> list[str]:
    """List the lines of a Markdown text over the limit, except in tables, code blocks and links."""
    found, in_code = [], False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        breakable = re.sub(r"\[[^]]*\]\([^)]*\)|https?://\S+|<[^>]*>|`[^`]*`", "", line).strip()
        if len(line) > LONGEST_LINE and not in_code and not line.lstrip().startswith("|") and " " in breakable:
            found.append(f"line {number}: {len(line)} characters, at most {LONGEST_LINE}")
    return found


def test_inheritance_is_shallow() -> None:
    assert not deep_classes([file.read_text() for file in LIBRARY])


@pytest.mark.parametrize("file", [*LIBRARY, *SCRIPTS], ids=lambda file: str(file.relative_to(ROOT)))
def test_house_style(file: Path) -> None:
    source = file.read_text()
    found = long_parts(source) + smells(source)
    if file in LIBRARY:
        found += untyped(source) + uneven_rows(source)
        if COMMAND_LINE not in file.parents:
            found += [f"imports {name}" for name in sorted(imported(source) & {"hydra", "omegaconf"})]
    assert not found, f"{file.relative_to(ROOT)}: " + "; ".join(found)


def language(file: Path) -> list[str]:
    """List the faults of language of a file of any kind."""
    text = file.read_text()
    if file.suffix == ".py":
        strings = literals(text) if file in LIBRARY else docstrings(text)
        return riddles(text) + banned([*comments(text), *strings])
    if file.suffix == ".yaml":
        return banned((number, line.partition("#")[2]) for number, line in enumerate(text.splitlines(), 1))
    return banned(enumerate(text.splitlines(), 1)) + long_prose(text)


@pytest.mark.parametrize(
    "file", [*LIBRARY, *SCRIPTS, *TESTS, *YAML, *PAGES], ids=lambda file: str(file.relative_to(ROOT))
)
def test_language_is_plain(file: Path) -> None:
    if file == Path(__file__):  # it quotes what it forbids
        return
    found = language(file)
    assert not found, f"{file.relative_to(ROOT)}: " + "; ".join(found)


def test_language_faults_are_found() -> None:
    long = " ".join(["word"] * 36)
    source = f'''"""What it is."""\nX = 1\n"""Fine. {long}."""\ndef f():\n    """Draw anew."""  # mend it\n'''
    assert riddles(source) == ["line 1: the docstring begins with What", "line 3: a sentence of 36 words, at most 35"]
    assert banned([*comments(source), *docstrings(source)]) == ["line 5: 'mend'", "line 5: 'anew'"]
    assert riddles(f'"""One.\n\nArgs:\n    a: {long[:100]}\n    b: {long[:100]}\n"""') == []
    line = "word " * 30
    page = f"{line}\n| {line} |\n```\n{line}\n```\n- [name](https://example.org/{'x' * 120})\n"
    assert long_prose(page) == ["line 1: 150 characters, at most 120"]


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
        ("path = Path(text).expanduser()", "use user_path"),
        ("path = os.path.expanduser(text)", ""),
        ("path = Path(text).resolve()", "use real_path"),
        ("path = Path(__file__).resolve()", ""),
        ("if torch.cuda.is_available():\n    pass", ""),
    ],
)
def test_smells_are_found(source: str, expected: str) -> None:
    found = smells(source)
    assert expected in found[0] if expected else not found


def test_uneven_rows_are_found() -> None:
    source = 'log.info("warm-up       %d", n)\nlog.info("warm-up        %d", n)\nlog.info("epoch %d  %s", n, x)'
    assert uneven_rows(source) == ["line 1: 'warm-up' has its values in column 14"]


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
