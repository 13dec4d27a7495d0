"""Command ``nas-search count``: parameters and operations of a network."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from nas.cli.run_dir.summary import format_limited
from nas.utils.errors import NasError
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import program
from nas.utils.tool_parser import ToolParser

if TYPE_CHECKING:  # the help needs no torch
    from nas.nn.cost import Cost
    from nas.spaces.genotype_file import Budget

RULES = ("macs", "macs_bias", "flops", "thop_2019", "thop_2019_without_norm", "thop_2020", "ptflops")
"""Names of the rules of ``nas.nn.macs``."""
DESCRIPTION = """Count the parameters and the operations of a network for one input.
NETWORK is any value of genotype= of train.py, or PACKAGE.MODULE:FUNCTION, a user-defined function or class that returns
a torch.nn.Module."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    try:
        options = _parser().parse(arguments)
        from nas.cli.commands.count_network import count_of

        cost, budget = count_of(options)
    except NasError as error:
        raise NasError(_with_flags(str(error))) from error
    print(_as_json(cost, budget) if options.json else _as_table(cost, budget))
    return 0


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} count", description=DESCRIPTION)
    parser.add_argument("network", metavar="NETWORK", help="such as PC_DARTS_cifar, a run, or my_package.nets:resnet")
    parser.add_values("--shape", _is_whole, "N", type=int, help="shape of an input (that of the run, or 3 32 32)")
    parser.add_argument(
        "--classes",
        type=int,
        default=None,
        metavar="N",
        help="classes (those of the run, or 10) or words (10000) of a genotype's network",
    )
    options = {"dest": "options", "default": [], "help": "options of a genotype's network"}
    parser.add_values("--network", lambda word: "=" in word, "KEY=VALUE", **options)
    parser.add_values("--own-parts", _is_part, "NAME=PACKAGE.MODULE.CLASS", default=[], help="custom ops and spaces")
    rules = f"{', '.join(RULES)}; default: all"
    parser.add_values("--rule", lambda word: word in RULES, "RULE", choices=list(RULES), help=rules)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _with_flags(message: str) -> str:
    """Replace options of a search or training in a message by those of this command."""
    message = re.sub(r"own_parts=\[([^]]*)\](, or -cd DIR of its configuration)?", r"--own-parts \1", message)
    message = re.sub(r"^own_parts: ", "--own-parts ", message)
    return message.replace("--own-parts.", "--own-parts ").replace("--network.", "--network ")


def _is_whole(word: str) -> bool:
    return word.lstrip("-").isdecimal()


def _is_part(word: str) -> bool:
    """Return whether a word names a custom part, and not a network."""
    return "." in word and all(map(str.isidentifier, re.split("[.=]", word))) and not os.path.exists(word)


def _as_table(cost: Cost, budget: Budget) -> str:
    rows = {"parameters": cost.parameters}
    rows |= {"auxiliary head": cost.auxiliary_parameters} if cost.auxiliary_parameters else {}
    rows |= cost.operations
    width, digits = max(map(len, rows)), max(len(f"{value:,}") for value in rows.values())
    lines = [f"{name:<{width}}  {value:>{digits},}  {value / 1e6:.6g} M" for name, value in rows.items()]
    lines += [f"in the search: {name} {format_limited(limited)}" for name, limited in budget.items()]
    return "\n".join(lines)


def _as_json(cost: Cost, budget: Budget) -> str:
    values = {"parameters": cost.parameters, "auxiliary_parameters": cost.auxiliary_parameters}
    return json.dumps(values | dict(cost.operations) | ({"budget": budget} if budget else {}))


if __name__ == "__main__":
    sys.exit(main())
