"""Command ``python -m nas COMMAND ...``: all commands of the package."""

from __future__ import annotations

from nas.cli.early_interrupt import end_without_traceback, raise_interrupts

if __name__ == "__main__":
    end_without_traceback()  # before the other imports, which take most of the start

import runpy  # noqa: E402
import sys  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402

from nas.cli.command_list import COMMANDS, Subcommand, describe_commands  # noqa: E402
from nas.cli.entry import check_working_directory  # noqa: E402
from nas.cli.streams import protect_streams  # noqa: E402
from nas.utils.one_line_errors import one_line_errors  # noqa: E402

ALL_COMMANDS: Mapping[str, Subcommand] = {
    "search": Subcommand(
        "nas.cli.search", "search for an architecture, or rank all by a proxy; the same as nas-search"
    ),
    "train": Subcommand("nas.cli.train", "train, evaluate or export the network of a genotype; the same as nas-train"),
    **COMMANDS,
}


def usage() -> str:
    """Return the list of commands."""
    lines = ["usage: python -m nas COMMAND ...", "", describe_commands(ALL_COMMANDS), ""]
    return "\n".join([*lines, "python -m nas COMMAND --help shows its options"])


def main() -> int:
    """Run the command that the first argument names, and return the exit code."""
    command = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if command in ("-h", "--help"):
        print(usage())
        return 0
    if command not in ALL_COMMANDS:
        print(f"error: unknown command '{command}'. Use {', '.join(ALL_COMMANDS)}.", file=sys.stderr)
        return 1
    del sys.argv[1]
    protect_streams()
    check_working_directory()
    raise_interrupts()

    @one_line_errors
    def run(arguments: Sequence[str] | None = None) -> int:
        # as the main module, because the further processes of a distributed run start the main module again
        runpy.run_module(ALL_COMMANDS[command].module, run_name="__main__", alter_sys=True)
        return 0

    return run(sys.argv[1:])


if __name__ == "__main__":
    raise SystemExit(main())
