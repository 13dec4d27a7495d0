"""Command ``nas-search convert``: convert a published benchmark to one Parquet file."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.tool_parser import ToolParser

SPACES = ("trans_nas_bench_101_micro", "trans_nas_bench_101_macro")
"""Spaces of the release of TransNAS-Bench-101."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    parser = ToolParser(
        f"{program('search')} convert",
        description=(
            "Convert a published benchmark to one Parquet file: NATS-Bench, NAS-Bench-101, -201 and -301, "
            "TransNAS-Bench-101, HW-NAS-Bench."
        ),
    )
    parser.add_argument("source", metavar="SRC", type=Path, help="download, such as NATS-tss-v1_0-3ffb9-simple")
    parser.add_argument("destination", metavar="DEST", type=Path, help="output, such as data/nas_bench_201.parquet")
    parser.add_argument("--force", action="store_true", help="replace DEST if it exists")
    parser.add_argument("--partial", action="store_true", help="accept a source with missing architectures")
    parser.add_argument("--as", dest="name", metavar="NAME", help="original name of a renamed SRC")
    parser.add_argument("--space", choices=SPACES, help="space to convert, if SRC has several (TransNAS-Bench-101)")
    given = parser.parse(arguments)
    from nas.benchmarks.convert import convert  # the help needs no torch

    options = {"force": given.force, "partial": given.partial, "space": given.space}
    print(convert(given.source, given.destination, given.name, **options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
