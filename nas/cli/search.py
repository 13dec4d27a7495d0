"""Command ``nas-search``: search for an architecture, or rank architectures by a zero-cost proxy."""

from __future__ import annotations

from nas.cli.early_interrupt import end_without_traceback


def main() -> None:
    """Run the program with the arguments of the process."""
    end_without_traceback()
    from nas.cli.entry import run_program  # its imports take most of the time before the handler is set

    run_program("nas.cli.programs.search")


if __name__ == "__main__":
    main()
