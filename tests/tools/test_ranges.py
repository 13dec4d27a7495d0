"""The page of ranges is current."""

from __future__ import annotations

from tools.ranges import ROOT, page


def test_page_of_ranges_is_current() -> None:
    assert (ROOT / "docs" / "ranges.md").read_text() == page(), "run python tools/ranges.py"
