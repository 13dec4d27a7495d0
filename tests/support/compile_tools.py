"""Compilation without a compiler, for tests of what is compiled."""

from __future__ import annotations

from typing import Any

import pytest

import nas.nn.network_compiler


def record_pieces(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run pieces of networks eagerly instead of compiled. Return a list to which each call appends a name."""
    recorded: list[str] = []

    def compile_nothing(function: Any, **options: Any) -> Any:
        def execute(*arguments: Any) -> Any:
            recorded.append(function.__name__)
            return function(*arguments)

        return execute

    monkeypatch.setattr(nas.nn.network_compiler.torch, "compile", compile_nothing)
    return recorded
