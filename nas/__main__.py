"""Command ``python -m nas COMMAND ...``: all commands of the package."""

from __future__ import annotations

import sys

COMMANDS = {
    "search": "search for an architecture; the same as nas-search",
    "train": "train, evaluate or export the network of a genotype; the same as nas-train",
    "convert": "convert a published benchmark to one Parquet file",
}


def usage() -> str:
    """Return the list of commands."""
    lines = [f"  {name:<10}{text}" for name, text in COMMANDS.items()]
    return "\n".join(
        ["usage: python -m nas COMMAND ...", "", *lines, "", "python -m nas COMMAND --help shows its options"]
    )


def main() -> int:
    """Run the command that the first argument names, and return the exit code."""
    arguments = sys.argv[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0
    command = arguments[0]
    if command not in COMMANDS:
        print(f"error: unknown command '{command}'. Use {', '.join(COMMANDS)}.", file=sys.stderr)
        return 1
    del sys.argv[1]
    # each command is imported on its own, because the imports of the others take seconds
    if command == "convert":
        from nas.benchmarks.convert import main as convert

        return convert(sys.argv[1:])
    if command == "search":
        from nas.cli.search import main as run
    else:
        from nas.cli.train import main as run
    run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
