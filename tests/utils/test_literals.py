"""Tests of literals in a text: values, bounds, and no execution."""

from __future__ import annotations

import ast
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.utils.literals import Call, read_literal

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**9), 10**9)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("ab_ 3#(,")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(deadline=None, max_examples=100)
@given(value=VALUES)
def test_read_literal_equals_python_and_json(value: Any) -> None:
    text = repr(value)
    assert read_literal(text + " rest")[0] == ast.literal_eval(text) == value
    assert read_literal(text + " rest")[1] == len(text)
    encoded = json.dumps(value)
    assert read_literal(encoded) == (json.loads(encoded), len(encoded))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("range(2, 6)", [2, 3, 4, 5]),
        ("list(range(3))", [0, 1, 2]),
        ("tuple([1, 2])", (1, 2)),
        ("dict(a=1)", {"a": 1}),
        ("OrderedDict([('a', 1), ('b', [2])])", {"a": 1, "b": [2]}),
        ("collections.OrderedDict({'a': 1})", {"a": 1}),
        ("[np.float64(0.25), tensor(0.5, device='cuda:0')]", [0.25, 0.5]),
        ("[1, # comment ]\n 2]", [1, 2]),
        ("(1)", 1),
        ("(1,)", (1,)),
        ("()", ()),
        ("f(1, # c\n b=x(2))", Call("f", (1,), {"b": Call("x", (2,), {})})),
    ],
)
def test_read_literal_values(text: str, value: Any) -> None:
    assert read_literal(f"x = {text}", 4) == (value, 4 + len(text))


@pytest.mark.parametrize(
    "text",
    [
        *("", "[", "[1", "(1, 2", "{1: 2", "{1}", "{[1]: 2}", "{'a': 1, 'a': 2}", "x", "x.y", "**"),
        *("range(10**9)", "range(1000000000000)", "range(1, 9, 2)", "range(-101)", "f(a=1, 2)", "f(a=1, a=2)"),
        *("dict([1])", "'open", "'a\nb'", "9" * 41, "[" * 18 + "]" * 18, "[" * 100_000, "[" + "1," * 20_001 + "]"),
        *("lambda: 1", "[x for x in y]", "-" * 100_000 + "1", "a." * 100_000 + "a", "f" + "(" * 100_000),
    ],
    ids=lambda text: text[:20],
)
def test_read_literal_refuses_other_text_quickly(text: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError):
        read_literal(text)
    assert time.process_time() - began < 2
