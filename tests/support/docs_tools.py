"""Commands of the documentation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

from nas.cli.command_list import COMMANDS
from nas.zoo.listing import FLAG as LIST
from tests.support.compose_tools import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = {"search.py": "search", "nas-search": "search", "train.py": "train", "nas-train": "train"}
BEFORE = ("python", "next", "&&", ";", "do", "$")
PLACEHOLDER = re.compile(r"(?<![\w.])(DIR|RUN|NAME|F|X|KEY|DATE|GROUP|VALUE|FILE|M|S|D|T|N|GENOTYPE)(?!\w)|<|\.\.\.|\$")


def commands(page: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield job and arguments of each search.py and train.py command in the code of a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    if page.name == "from_other_code.md":  # the first column has the commands of the authors
        text = re.sub(r"^\|[^|]*\|", "|", text, flags=re.MULTILINE)
    # a fence, its language, its content and its end, so that the end of a block is not the start of another one
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    blocks = [content for language, content in fences if language in ("", "bash", "sh", "text")]
    inline = re.findall(r"`((?:python )?(?:search\.py|train\.py|nas-search|nas-train) [^`]+)`", text)
    for line in [line for block in blocks for line in block.splitlines()] + inline:
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        try:
            found = list(words)
        except ValueError:  # a line of output
            continue
        for position, word in enumerate(found):
            arguments = list(takewhile(lambda other: not (other and set(other) <= set(";&|()")), found[position + 1 :]))
            starts = position == 0 or found[position - 1] in BEFORE
            if word in PROGRAMS and starts and arguments and arguments[0] not in COMMANDS and LIST not in arguments:
                yield PROGRAMS[word], arguments


def has_placeholder(argument: str) -> bool:
    """Return whether an argument has a part that the reader replaces, such as DIR."""
    return PLACEHOLDER.search(argument.partition("=")[2] or argument) is not None


def needs_gpu_or_data(arguments: list[str]) -> bool:
    """Return whether a command needs a GPU, a downloaded data set or files of the reader."""
    needed = r"trainer=(gpu|ddp\b)|dataset=(?!digits|synthetic)|(protocol|experiment|weights|logger)=|=benchmark"
    return re.search(needed, " ".join(arguments)) is not None
