"""Every option of a class that conf/ configures makes a difference."""

from __future__ import annotations

import inspect
import json
import pydoc
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from tests.support import option_tools as see
from tests.support.black_box_options import BLACK_BOX
from tests.support.compose_tools import CONF, ROOT
from tests.support.data_options import DATA_SETS, folder_options
from tests.support.folder_tools import image_folder
from tests.support.option_reasons import ELSEWHERE, GIVEN, NO_DIFFERENCE
from tests.support.proxy_options import PROXIES
from tests.support.relaxation_options import RELAXATIONS
from tests.support.space_options import SPACES
from tests.support.training_options import TRAINING

TABLE = DATA_SETS | RELAXATIONS | TRAINING | PROXIES | BLACK_BOX | SPACES
TARGETS = sorted({t for p in CONF.rglob("*.yaml") for t in re.findall(r"_target_: (nas\.[\w.]+)", p.read_text())})
CASES = [(target, number) for target, variants in TABLE.items() for number in range(len(variants))]


def options_of(target: str) -> set[str]:
    """Return the names of a class's options, those of its unpacked keyword arguments included.

    A constructor that a class inherits from another package passes on nothing by itself and has none.
    """
    located: Any = pydoc.locate(target)
    constructor = inspect.unwrap(located.__init__ if isinstance(located, type) else located)
    if not (getattr(constructor, "__module__", None) or "nas.").startswith("nas."):
        return set()
    names = set()
    for parameter in inspect.signature(located).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            annotation = get_type_hints(located.__init__, include_extras=True)[parameter.name]
            names |= set(annotation.__args__[0].__annotations__)
        else:
            names.add(parameter.name)
    return names - GIVEN


def different(options: see.Options, changes: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Yield for each option whether its change makes a difference, alone or with the options that it needs."""
    before = options.seen()
    for name, value in changes.items():
        alone = not (isinstance(value, dict) and name in value)
        if alone:
            yield name, options.seen(**{name: value}) != before
        else:
            needed = {key: other for key, other in value.items() if key != name}
            yield name, options.seen(**value) != options.seen(**needed)


@pytest.mark.parametrize(("target", "number"), CASES)
def test_each_option_makes_a_difference(target: str, number: int) -> None:
    options = TABLE[target][number]
    assert [name for name, found in different(options, dict(options.changes)) if not found] == []


def test_each_option_of_a_folder_makes_a_difference(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "images", train=8, val=3)
    options = folder_options(root, tmp_path)
    assert [name for name, found in different(options, dict(options.changes)) if not found] == []


def test_split_files_make_a_difference(tmp_path: Path) -> None:
    """Paths of lists of images, whose content differs from the defaults."""
    for target in ("nas.data.cifar.Cifar100", "nas.data.synthetic.Synthetic"):
        options = TABLE[target][0]
        size = 8
        lists = {"xvalid": list(range(1, size, 2)), "xtest": list(range(0, size, 2))}
        (tmp_path / "test.json").write_text(json.dumps(lists))
        halves, listed = (
            options.seen(split="nas_bench_201", test_split=given) for given in ("halves", tmp_path / "test.json")
        )
        assert halves != listed


def test_the_table_covers_all_options() -> None:
    """A new option needs a value here, or a test file that names it, or a reason why nothing differs."""
    missing = []
    for target in TARGETS:
        known = {"root", "download"} if target.startswith("nas.data.") else set()
        known |= {name for options in TABLE.get(target, ()) for name in options.changes}
        known |= set(NO_DIFFERENCE.get(target.rpartition(".")[2], ())) | set(NO_DIFFERENCE["any"])
        if target.endswith(".Folder"):
            known |= set(folder_options(Path(), Path()).changes)
        if target in ELSEWHERE:
            text = "".join((ROOT / file).read_text() for file in ELSEWHERE[target])
            known |= {name for name in options_of(target) if re.search(rf"\b{name}\b", text)}
        missing += [f"{target}: {name}" for name in sorted(options_of(target) - known)]
    assert missing == []
    assert set(TABLE) | set(ELSEWHERE) <= set(TARGETS), "no class that nothing configures"


def test_a_forgotten_option_is_found() -> None:
    options = see.Options(lambda a, b: a, {"a": 1, "b": 1}, {"a": 2, "b": 2}, lambda built: built)
    assert dict(different(options, dict(options.changes))) == {"a": True, "b": False}
    both = see.Options(partial(dict, a=1), {}, {"c": {"b": 1, "c": 2}}, lambda built: built.get("c"))
    assert dict(different(both, dict(both.changes))) == {"c": True}
