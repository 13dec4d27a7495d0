"""The comments that configuration files begin with."""

from __future__ import annotations

import re


def header(text: str) -> list[str]:
    """Return the comment lines at the top of a file, without Hydra's @package line."""
    found = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            found.append(line.removeprefix("#").strip())
    return found


def header_faults(text: str, command: str) -> list[str]:
    """Return the faults in the header of an experiment or a protocol.

    A header names the publication with its year, the source of the values, and ``command``. Results stand in
    docs/results.md.
    """
    lines = header(text)
    head = " ".join(lines)
    faults = []
    if not re.search(r"\b[A-Z][\w-]+.*\b(19|20)\d\d\b", head):
        faults.append("no publication with its year")
    if not re.search(r"\bSource: [\w-]+/[\w-]+|\bSource: [A-Z][\w-]+", head):
        faults.append("no source ('Source: OWNER/REPOSITORY')")
    if not any(line.startswith("python ") and f" {command} " in f"{line} " for line in lines):
        faults.append(f"no command line with {command}")
    if re.search(r"Published|Ours:|not yet reproduced|in our records", head):
        faults.append("a result, which belongs in docs/results.md")
    return faults
