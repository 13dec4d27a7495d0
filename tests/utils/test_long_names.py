"""Names of files that the file system does not accept, and names with line breaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.utils.long_names import too_long
from tests.support.error_tools import NB201, TINY, TRAIN, run

LONG = "a" * 300
COMMANDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "weights": ("train", ("mode=eval",)),
    "init_weights": ("train", (*TRAIN, f"genotype={NB201}")),
    "ckpt_path": ("search", ()),
    "paths.data": ("search", ("method=gdas", "dataset=cifar10")),
    "paths.benchmark": ("search", ("method=random_search", "evaluator=benchmark", "dataset=cifar10")),
    "dataset.root": ("search", ("method=darts", "space=recurrent", "dataset=ptb")),
    "evaluator.supernet_dir": ("search", ("method=random_search", "evaluator=supernet", *TINY)),
}
"""Script and other arguments, by an option that names a file or a directory."""


@pytest.mark.parametrize("option", COMMANDS)
@pytest.mark.parametrize(
    "value", [LONG, "/".join(["d" * 100] * 60), "/".join(["e" * 30] * 200)], ids=["name", "path", "short parts"]
)
def test_option_with_a_long_name_is_named(option: str, value: str, tmp_path: Path) -> None:
    script, arguments = COMMANDS[option]
    place = () if option == "ckpt_path" else (f"hydra.run.dir={tmp_path}/run",)
    found = run(script, *arguments, f"{option}={tmp_path}/{value}", *place)
    name = max((tmp_path / value).parts, key=len)
    shown = name if len(name) <= 40 else f"{name[:40]}..."
    found.refused(f"error: {option}: the file name {shown} or its path is too long. Choose a shorter one.")
    assert not list(tmp_path.iterdir())


def test_long_name_of_a_flag_has_no_option(tmp_path: Path) -> None:
    run("search", "method=gdas", "-cd", f"{tmp_path}/{LONG}").refused("error: the file name aaaa")
    assert too_long(f"/x/.{LONG}.tmp", ["seed=1", f"export.file='/x/{LONG}'"]).startswith("export.file: the file name")


@pytest.mark.parametrize(
    "command",
    [
        ("convert", "a\nb", "out.parquet"),
        ("latency", "--output", "a\nb"),
        ("count", "a\nb"),
        ("data", "a\nb"),
        ("plot", "a\nb"),
        ("report", "a\x1b[31m\nb"),
    ],
    ids=lambda command: command[0],
)
def test_error_with_a_line_break_is_one_line(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "a\nb").touch()
    found = run("search", *command)
    found.refused("a")
    assert "\x1b" not in found.erred
