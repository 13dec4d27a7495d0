"""Command ``nas-search accuracy-range``: accuracies of sampled architectures over the epochs of a finished search."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.cli.overrides.compose import compose_job
from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.hydra_internals import split_arguments
from nas.cli.overrides.parse import key_of
from nas.cli.overrides.run_record import check_overrides, overrides_file, saved_config, saved_overrides
from nas.cli.run_dir.in_use import check_not_in_use
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.ranges import MAX_COUNT
from nas.utils.tool_parser import ToolParser
from nas.utils.user_path import user_path

if TYPE_CHECKING:  # the help needs neither torch nor matplotlib
    from nas.benchmarks.accuracy_range import AccuracyRange

FILE, PICTURE = "accuracy_range.csv", "accuracy_range.png"
"""Files of the command, equal to the files of the callback."""
DESCRIPTION = f"""Sample architectures from the learned distribution of each epoch of a finished search, and write the
minimum, mean and maximum of their benchmark test accuracies, and the accuracy of the distribution's mode, to {FILE} and
{PICTURE} in the run directory. The files equal those of callbacks=accuracy_range."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    _run(_parser().parse(arguments))
    return 0


def _run(options: argparse.Namespace) -> None:
    run = user_path(options.run)
    check_not_in_use(run, "accuracy-range")
    for name in (FILE, PICTURE):
        if (run / name).exists() and not options.overwrite:
            raise NasError(f"accuracy-range: {run / name} exists. Use --overwrite to replace it.")
    ranges = _ranges(run, options.benchmark, options.samples, options.seed)
    _write(ranges, run)


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} accuracy-range", description=DESCRIPTION)
    parser.add_argument("run", type=Path, metavar="RUN", help="run directory of a gradient-based search")
    parser.add_argument("--benchmark", metavar="DIR", help="directory of the table (default: paths.benchmark of RUN)")
    parser.add_argument("--samples", type=_count, default=100, help="architectures per epoch (default: 100)")
    parser.add_argument("--seed", type=int, help="seed of the samples (default: seed of RUN)")
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MAX_COUNT:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of architectures")
    return int(text)


def _ranges(run: Path, root: str | None, samples: int, seed: int | None) -> list[AccuracyRange]:
    """Return the accuracies of all epochs of a run."""
    from nas.benchmarks.benchmark_spaces import BENCHMARK_SPACES
    from nas.callbacks.recording.accuracy_range import open_query, sampled_ranges
    from nas.callbacks.recording.alphas import ALPHAS_FILE, read_alphas, recorded_distribution
    from nas.spaces.genotype_file import GENOTYPE_FILE, load_genotype

    lines = read_alphas(run / ALPHAS_FILE)
    if not lines or not (run / GENOTYPE_FILE).is_file():
        raise NasError(
            f"accuracy-range: {run} has no {ALPHAS_FILE} and {GENOTYPE_FILE}. Give the run directory of a "
            "gradient-based search."
        )
    notation = load_genotype(run / GENOTYPE_FILE).space
    if notation not in BENCHMARK_SPACES:
        raise NasError(
            f"accuracy-range: {run} is a search in space '{notation}', which has no tabular benchmark. Give a search "
            f"in {' or '.join(BENCHMARK_SPACES)}."
        )
    space = BENCHMARK_SPACES[notation]
    query = open_query(_table_directory(run) if root is None else root, notation)
    seed, ranges = _seed(run) if seed is None else seed, []
    for line in lines:
        distribution = recorded_distribution(line, (len(space.edges), len(space.ops)))
        if distribution is None:
            raise NasError(
                f"accuracy-range: the method of {run} learns no distribution of ops, or {ALPHAS_FILE} does not contain "
                "it. Name another run."
            )
        ranges += sampled_ranges(query, distribution, line["epoch"], samples, seed)
    return ranges


def _seed(run: Path) -> int:
    """Return the seed in the record of a run."""
    seed: Any = saved_config(run).get("seed")
    if type(seed) is not int:
        raise NasError(f"accuracy-range: the record of {run} has no seed. Set --seed.")
    return seed


def _table_directory(run: Path) -> str:
    """Return ``paths.benchmark`` of a run. Its record is untrusted, and only plain values are taken over."""
    lines = [line for line in saved_overrides(run) if key_of(line) in ("paths.benchmark", "paths.data")]
    check_overrides(lines, overrides_file(run), (CONF,))
    flags, _ = split_arguments([])
    return str(compose_job("search", lines, flags).paths.benchmark)


def _write(ranges: Sequence[AccuracyRange], run: Path) -> None:
    from nas.benchmarks.accuracy_range import format_ranges
    from nas.plotting.accuracy_range import accuracy_range_figure
    from nas.plotting.figure import save_figure

    write_atomically(run / FILE, format_ranges(ranges))
    save_figure(accuracy_range_figure(ranges), run / PICTURE)
    print(f"table          {run / FILE}\npicture        {run / PICTURE}")


if __name__ == "__main__":
    sys.exit(main())
