"""Text of a CSV table."""

from __future__ import annotations

from nas.utils.csv_table import format_csv


def test_rows_are_quoted_and_may_lack_columns() -> None:
    text = format_csv(["a", "b"], [{"a": "1,5", "c": 3}, {"b": 'x"y'}])
    assert text.splitlines() == ["a,b", '"1,5",', ',"x""y"']
