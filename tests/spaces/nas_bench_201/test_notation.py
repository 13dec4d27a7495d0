"""Tests of the architecture strings and indices of NAS-Bench-201."""

from __future__ import annotations

import hashlib

import pytest

from nas.spaces.nas_bench_201.notation import benchmark_order, from_index, from_ops, native, parse, to_index
from nas.utils.errors import NasError


def test_benchmark_order_equals_the_published_one() -> None:
    strings = [native(from_ops(ops)) for ops in benchmark_order()]
    assert hashlib.md5("\n".join(strings).encode()).hexdigest() == "1985aacc268bf045d31ddeecaaac0dc0"
    published = {
        0: "|avg_pool_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|skip_connect~2|",
        284: "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|none~0|nor_conv_1x1~1|none~2|",
        15624: "|nor_conv_1x1~0|+|none~0|nor_conv_1x1~1|+|none~0|nor_conv_1x1~1|nor_conv_1x1~2|",
    }
    for index, text in enumerate(strings):
        assert to_index(parse(text)) == index and published.get(index, text) == text
        assert from_index(index) == parse(text)
    for index in (-1, 15_625):
        with pytest.raises(NasError, match="0 to 15624"):
            from_index(index)
