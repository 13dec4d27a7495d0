"""Command ``nas-train``: train the network of a genotype from scratch; evaluate or export a trained one."""

from __future__ import annotations

from nas.cli.early_interrupt import end_without_traceback


def main() -> None:
    """Run the program with the arguments of the process."""
    end_without_traceback()
    from nas.cli.entry import run_program  # its imports take most of the time before the handler is set

    run_program("nas.cli.programs.train")


if __name__ == "__main__":
    main()
