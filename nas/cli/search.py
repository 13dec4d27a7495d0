"""Command ``nas-search``: search for an architecture, or rank architectures by a zero-cost proxy."""

from __future__ import annotations

from nas.cli.entry import run_program


def main() -> None:
    """Run the program with the arguments of the process."""
    run_program("nas.cli.programs.search")


if __name__ == "__main__":
    main()
