"""nas.utils.printable: names from files on one line."""

from __future__ import annotations

import os

from nas.utils.printable import printable


def test_printable_replaces_control_characters_and_cuts() -> None:
    assert printable("tench, Tinca tinca é 魚") == "tench, Tinca tinca é 魚"
    assert printable("a\nb\tc\x1b[31md\u202ee") == "a b c\ufffd[31md\ufffde"
    assert printable(os.fsdecode(b"a\xff")) == "a\ufffd"
    assert printable("x" * 50, 10) == "xxxxxxx..." and printable("x" * 10, 10) == "x" * 10
