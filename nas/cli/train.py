"""Command ``nas-train``: train the network of a genotype from scratch; evaluate or export a trained one."""

from __future__ import annotations

from nas.cli.entry import run_program


def main() -> None:
    """Run the program with the arguments of the process."""
    run_program("nas.cli.programs.train")


if __name__ == "__main__":
    main()
