"""Reading of Python and JSON literals within a text, without executing anything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

MAX_DEPTH = 16
MAX_TOKENS = 20_000
"""Bounds of a literal: nested brackets, and tokens."""
_MAX_RANGE = 100

_SPACE = r"(?:\s+|\#[^\n]*)*"
_KEYWORD = re.compile(_SPACE + r"([A-Za-z_]\w*)\s*=")
_TOKEN = re.compile(
    _SPACE + r"(?:"
    r"(?P<string>[bru]?(?:'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"))"
    r"|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<name>-?[A-Za-z_][\w.]*)"
    r"|(?P<mark>[][(){},:=]))"
)
_CONSTANTS: Mapping[str, Any] = {
    **{"True": True, "true": True, "False": False, "false": False, "None": None, "null": None},
    **{name: float(name) for name in ("nan", "NaN", "inf", "Infinity", "-inf", "-Infinity")},
}
_SCALAR = re.compile(r"(?:(?:np|numpy|torch)\.)?(?:tensor|array|float\d*|int\d*)")
"""Wrappers of a single number, as in ``np.float64(0.5)`` or ``tensor(0.5, device='cpu')``."""


class Call(NamedTuple):
    """A call in the text, such as ``Genotype(normal=[...])``; it is data and never executed."""

    name: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]


def read_literal(text: str, start: int = 0) -> tuple[Any, int]:
    """Read the literal that begins at position ``start``.

    Supported are numbers, strings, constants, lists, tuples, dicts and calls of Python, JSON values, and comments.
    The calls ``range``, ``list``, ``tuple``, ``dict``, ``OrderedDict`` and numbers such as ``np.float64(0.5)`` are
    replaced by their values. Other calls become a ``Call``.

    Returns:
        The value and the position after it.

    Raises:
        ValueError: for any other text, a key that occurs twice, or a literal beyond ``MAX_DEPTH`` or ``MAX_TOKENS``.
    """
    reader = _Reader(text, start)
    value = reader.value(0)
    return value, reader.position


class _Reader:
    """Recursive descent over the tokens of a literal."""

    def __init__(self, text: str, start: int) -> None:
        self.text, self.position, self.tokens = text, start, 0

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} nested brackets")
        kind, token = self._take()
        if kind == "string":
            return re.sub(r"\\(.)", r"\1", token[token.index(token[-1]) + 1 : -1])
        if kind == "number":
            return _number(token)
        if kind == "name":
            if token in _CONSTANTS:
                return _CONSTANTS[token]
            self._expect("(")
            return _evaluate(token, *self._arguments(depth))
        if token == "[":
            return self._items("]", depth)[0]
        if token == "(":
            items, commas = self._items(")", depth)
            return items[0] if len(items) == 1 and not commas else tuple(items)
        if token == "{":
            return self._dict(depth)
        raise ValueError(f"'{token}' where a value is expected")

    def _items(self, end: str, depth: int) -> tuple[list[Any], int]:
        """Read values up to the bracket ``end``; return them and the number of commas."""
        items: list[Any] = []
        commas = 0
        while not self._skip(end):
            items.append(self.value(depth + 1))
            if self._skip(","):
                commas += 1
            else:
                self._expect(end)
                break
        return items, commas

    def _dict(self, depth: int) -> dict[Any, Any]:
        entries: dict[Any, Any] = {}
        while not self._skip("}"):
            key = self.value(depth + 1)
            self._expect(":")
            _put(entries, key, self.value(depth + 1))
            if not self._skip(","):
                self._expect("}")
                break
        return entries

    def _arguments(self, depth: int) -> tuple[list[Any], dict[str, Any]]:
        values: list[Any] = []
        keywords: dict[str, Any] = {}
        while not self._skip(")"):
            match = _KEYWORD.match(self.text, self.position)
            if match is not None:
                self.position = match.end()
                _put(keywords, match[1], self.value(depth + 1))
            elif keywords:
                raise ValueError("a positional argument after keywords")
            else:
                values.append(self.value(depth + 1))
            if not self._skip(","):
                self._expect(")")
                break
        return values, keywords

    def _take(self) -> tuple[str, str]:
        match = _TOKEN.match(self.text, self.position)
        self.tokens += 1
        if match is None or match.lastgroup is None:
            rest = self.text[self.position : self.position + 10].strip()
            raise ValueError(f"'{rest}' cannot be read" if rest else "the text ends within a value")
        if self.tokens > MAX_TOKENS:
            raise ValueError(f"more than {MAX_TOKENS} tokens")
        self.position = match.end()
        return match.lastgroup, match[match.lastgroup]

    def _skip(self, mark: str) -> bool:
        """Move past ``mark`` if it is the next token."""
        match = _TOKEN.match(self.text, self.position)
        if match is None or match["mark"] != mark:
            return False
        self.position = match.end()
        return True

    def _expect(self, mark: str) -> None:
        if not self._skip(mark):
            raise ValueError(f"'{mark}' is missing")


def _put(mapping: dict[Any, Any], key: Any, value: Any) -> None:
    try:
        twice = key in mapping
    except TypeError:
        raise ValueError("a key that is a list or a dict") from None
    if twice:
        raise ValueError(f"the key {key!r} occurs twice")
    mapping[key] = value


def _number(token: str) -> int | float:
    if len(token) > 40:
        raise ValueError(f"a number of {len(token)} digits")
    return int(token) if re.fullmatch(r"[-+]?\d+", token) else float(token)


def _evaluate(name: str, values: list[Any], keywords: dict[str, Any]) -> Any:
    """Return the value of a call that builds a plain value, else a ``Call``."""
    if name == "range":
        if not 1 <= len(values) <= 2 or keywords or any(type(v) is not int or abs(v) > _MAX_RANGE for v in values):
            raise ValueError(f"range() takes one or two numbers up to {_MAX_RANGE}")
        return list(range(*values))
    single = values[0] if len(values) == 1 else None
    if name in ("list", "tuple") and isinstance(single, list | tuple) and not keywords:
        return list(single) if name == "list" else tuple(single)
    if name.rpartition(".")[2] in ("dict", "OrderedDict") and not (values and keywords):
        return _to_dict(single if values else keywords)
    if _SCALAR.fullmatch(name) and isinstance(single, int | float):
        return single
    return Call(name, tuple(values), keywords)


def _to_dict(content: Any) -> dict[Any, Any]:
    """Return the dict of a mapping or of a list of pairs."""
    if isinstance(content, dict):
        return content
    if not isinstance(content, list | tuple) or not all(isinstance(p, list | tuple) and len(p) == 2 for p in content):
        raise ValueError("dict() takes pairs of a key and a value")
    entries: dict[Any, Any] = {}
    for key, value in content:
        _put(entries, key, value)
    return entries


def read_call(text: str, name: str) -> Call | None:
    """Read a text that is one call of ``name``, without executing it. Returns None for any other text."""
    try:
        call, end = read_literal(text)
    except ValueError:
        return None
    return call if isinstance(call, Call) and call.name == name and not text[end:].strip() else None
