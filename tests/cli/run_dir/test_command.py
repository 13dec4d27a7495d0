"""nas.cli.run_dir.command: options of custom parts in the commands that a run prints."""

from __future__ import annotations

import shlex

import pytest

from nas.cli.run_dir.command import config_flags, own_parts_flags


@pytest.mark.parametrize(
    ("ops", "next_command", "resumed"),
    [
        ("space.ops=[mbconv3_3x3,skip_connect]", [], []),
        ("space.ops=[none,my.ops.Conv]", ["'own_parts=[my.ops.Conv]'"], ["'space.ops=[none,my.ops.Conv]'"]),
    ],
)
def test_own_parts_are_named_only_if_there_are_any(ops: str, next_command: list[str], resumed: list[str]) -> None:
    lines = ["method=gdas", ops]
    assert own_parts_flags(lines) == next_command and own_parts_flags(lines, resumed=True) == resumed


def test_config_flags_name_the_directories_of_the_command_line() -> None:
    sources = [
        {"path": "hydra.conf", "schema": "pkg", "provider": "hydra"},
        {"path": "/checkout/conf", "schema": "file", "provider": "main"},
        {"path": "/my conf", "schema": "file", "provider": "command-line"},
        {"path": "/more", "schema": "file", "provider": "hydra.searchpath in command-line"},
        {"path": "my.conf", "schema": "pkg", "provider": "hydra.searchpath in command-line"},
        {"path": "", "schema": "structured", "provider": "schema"},
    ]
    directory, searched = config_flags(sources)
    assert directory == "-cd '/my conf'" and config_flags(sources[:2]) == []
    assert shlex.split(searched) == ["hydra.searchpath=['file:///more','pkg://my.conf']"]
