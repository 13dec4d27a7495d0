"""Command ``nas-search plot``: draw the cells of a genotype."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from nas.utils.errors import NasError, one_line
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.tool_parser import ToolParser, named_by_user
from nas.utils.user_path import user_path

DESCRIPTION = """Draw the cells of a genotype, the layer widths of NATS-Bench's size space, or the blocks of a chain.
GENOTYPE is any value of genotype= of train.py: a run directory, a file, a published name or a string."""
SUFFIXES = (".png", ".svg", ".pdf")
"""Formats of pictures, those of ``nas.plotting.figure``."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    _run(_parser().parse(arguments))
    return 0


def _run(options: argparse.Namespace) -> None:
    print(_plot(options.genotype, options.output, options.overwrite))


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} plot", description=DESCRIPTION)
    parser.add_argument("genotype", metavar="GENOTYPE", help="genotype to draw, such as PC_DARTS_cifar or a run")
    kinds = ", ".join(SUFFIXES)
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"picture ({kinds}; default: NAME.png)")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    return parser


def _plot(source: str, output: Path | None, overwrite: bool) -> Path:
    """Draw the genotype and return the file.

    Raises:
        NasError: if the genotype is invalid, or the file exists or cannot be written.
    """
    # imported here, because torch and matplotlib are not needed for the help
    from nas.cli.run_dir.genotype_name import genotype_name
    from nas.plotting.cell import cell_figure
    from nas.plotting.chain import has_published_layout
    from nas.plotting.figure import save_figure
    from nas.spaces.choices_notation import NOTATION as CHOICES
    from nas.spaces.genotype_file import find_published, load_genotype
    from nas.spaces.registry import space_of

    with named_by_user("genotype", "plot"):
        genotype = load_genotype(source)
    checked = not genotype.origins and genotype.space != CHOICES  # custom parts are drawn without their code
    if checked and has_published_layout(genotype):
        space_of(genotype, (3, 32, 32), 10).check(genotype)
    name = genotype_name(source, genotype, find_published(source))
    path = Path(f"{name}.png") if output is None else user_path(output)
    _check_output(path, overwrite)
    try:
        save_figure(cell_figure(genotype, name), path)
    except OSError as error:
        raise NasError(
            f"--output={path}: cannot be written ({one_line(error.strerror or error)}). Choose another file."
        ) from None
    return path


def _check_output(path: Path, overwrite: bool) -> None:
    if path.suffix not in SUFFIXES:
        raise NasError(f"--output={path}: unknown format '{path.suffix}'. Use {', '.join(SUFFIXES)}.")
    if not os.path.isdir(path.parent):
        raise NasError(f"--output={path}: there is no directory {path.parent}. Create it, or choose another file.")
    if os.path.isdir(path):
        raise NasError(f"--output={path}: is a directory. Give a file.")
    if os.path.lexists(path) and not overwrite:
        raise NasError(f"--output={path}: exists. Choose another file, or use --overwrite.")


if __name__ == "__main__":
    sys.exit(main())
