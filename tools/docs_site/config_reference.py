"""Pages of the configuration reference: one per group of conf/, with options, defaults and comments of its files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import yaml

from tools.docs_site.paths import CONF

COMMENT = re.compile(r"(?:^|\s)#\s?(.*)$")
COMMAND = re.compile(r"python (?:search|train)\.py [^;]+(?:; python [^;]+)?")
SUMMARIES = {
    "callbacks": "callbacks of searches and trainings",
    "dataset": "data sets",
    "debug": "settings for debugging",
    "evaluator": "evaluators of black-box searches",
    "executor": "places where candidates are evaluated",
    "experiment": "published searches and the laptop track",
    "extras": "settings of the command line",
    "hparams_search": "grids of hyperparameters",
    "hydra": "settings of Hydra",
    "logger": "loggers",
    "method": "search methods",
    "mode": "kinds of jobs",
    "network": "options of final networks",
    "normalization": "mean and standard deviation of the authors, by data set",
    "paths": "directories",
    "predictor": "predictors of the value of a genotype",
    "protocol": "published training recipes",
    "proxy": "zero-cost proxies",
    "ranking": "rankings of architectures by a zero-cost proxy",
    "space": "search spaces",
    "trainer": "devices and options of Lightning's Trainer",
}
"""Content of each group."""


class Option(NamedTuple):
    """An option of a file: its key, its default as written in the file, and its comment."""

    key: str
    default: str
    comment: str


def config_pages() -> dict[str, str]:
    """Return the pages of the configuration reference by path."""
    groups = sorted(path.name for path in CONF.iterdir() if path.is_dir() and path.name != "local")
    rows = [f"| [`{group}`]({group}.md) | {SUMMARIES[group]} | {_choices(group)} |" for group in groups]
    index = [
        "# Configuration reference",
        "All files of `conf/`, with their defaults and comments. A choice is `GROUP=NAME`, an option is `KEY=VALUE`:",
        "```\npython search.py method=gdas space.channels=8\n```",
        "| page | files |\n|---|---|\n| [`search.py`](search.md) | `conf/search.yaml` |\n"
        "| [`train.py`](train.md) | `conf/train.yaml` |",
        "\n".join(["| group | content | choices |", "|---|---|---|", *rows]),
    ]
    pages = {"config/index.md": "\n\n".join(index) + "\n"}
    for job in ("search", "train"):
        pages[f"config/{job}.md"] = f"# {job}.py\n\n{_file_section(CONF / f'{job}.yaml', '')}"
    for group in groups:
        files = sorted((CONF / group).rglob("*.yaml"), key=lambda path: (path.name.startswith("_"), path.as_posix()))
        sections = [
            f"## {path.relative_to(CONF / group).with_suffix('').as_posix()}\n\n{_file_section(path, group)}"
            for path in files
        ]
        pages[f"config/{group}.md"] = f"# {group}\n\n{SUMMARIES[group].capitalize()}.\n\n" + "\n".join(sections)
    return pages


def _choices(group: str) -> str:
    names = sorted(path.stem for path in (CONF / group).rglob("*.yaml") if not path.stem.startswith("_"))
    return f"{len(names)}" if len(names) > 1 else f"`{names[0]}`"


def _file_section(path: Path, group: str) -> str:
    """Render the header, the defaults list and the options of a file."""
    text = path.read_text(encoding="utf-8")
    parts = _header_blocks(text)
    included, options = _options(text, _package(text, group, path))
    if included:
        parts.append("Includes: " + ", ".join(f"`{name}`" for name in included))
    if options:
        rows = [f"| `{option.key}` | {_code(option.default)} | {_escape(option.comment)} |" for option in options]
        parts.append("\n".join(["| option | default | comment |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _header_blocks(text: str) -> list[str]:
    """Render the header of a file: its prose as paragraphs, its commands as code."""
    header = (line.removeprefix("#").strip() for line in _header(text))
    lines = (part for line in header for part in re.split(r"(?<=:) (?=python (?:search|train)\.py )", line))
    blocks = [(command, list(group)) for command, group in groupby(lines, lambda line: bool(COMMAND.fullmatch(line)))]
    return [
        "\n".join(["```", *group, "```"]).replace("; python", "\npython") if command else _escape(" ".join(group))
        for command, group in blocks
    ]


def _header(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if not line.startswith("#"):
            return
        if not line.startswith("# @package"):
            yield line


def _package(text: str, group: str, path: Path) -> str:
    """Return the prefix of the keys of a file: its group, unless a directive names another package."""
    found = re.search(r"^# @package (\S+)", text, re.MULTILINE)
    if found is not None:
        return "" if found[1] == "_global_" else f"{found[1]}."
    return f"{group}." if group else ""


def _options(text: str, prefix: str) -> tuple[list[str], list[Option]]:
    """Return the entries of the defaults list and the options of a file, with their comments."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    included: list[str] = []
    options: list[Option] = []
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "defaults":
                included = [_entry(node) for node in value.value if _entry(node) != "_self_"]
            else:
                options += _leaves(f"{prefix}{key.value}", value, text)
    return included, options


def _entry(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return ", ".join(f"{key.value}={value.value}" for key, value in node.value)
    return str(node.value)


def _leaves(key: str, node: yaml.Node, text: str) -> Iterator[Option]:
    """Yield an option for a scalar, a list or a mapping in one line, and those of a mapping in several lines."""
    if isinstance(node, yaml.MappingNode) and node.value and not node.flow_style:
        for child, value in node.value:
            yield from _leaves(f"{key}.{child.value}", value, text)
        return
    default = text[node.start_mark.index : node.end_mark.index]
    default = "\n".join(re.sub(r"\s+#.*$", "", line) for line in default.splitlines())
    end = text[node.end_mark.index :].partition("\n")[0]
    found = COMMENT.search(end)
    yield Option(key, " ".join(default.split()), found[1] if found else "")


def _code(text: str) -> str:
    text = text.replace("|", "\\|")
    return f"`` {text} ``" if "`" in text else f"`{text}`" if text else ""


def _escape(text: str) -> str:
    text = text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
    return text.replace("[", "\\[")
