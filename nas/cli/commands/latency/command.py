"""Command ``nas-search latency``: a latency table of a space on this machine, and the error of its predictor."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from nas.cli.commands.latency.options import parse_options
from nas.cli.errors import explain, full_errors
from nas.utils.errors import NasError
from nas.utils.one_line_errors import one_line_errors


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        options = parse_options(sys.argv[1:] if arguments is None else arguments)
        from nas.cli.commands.latency.measure_space import measure_space  # the help needs no torch

        print(measure_space(options))
    except Exception as error:
        line = None if full_errors() else explain(error)
        if line is None:
            raise
        raise NasError(line) from error
    return 0


if __name__ == "__main__":
    sys.exit(main())
