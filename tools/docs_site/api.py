"""Pages of the API reference: one per package, which mkdocstrings fills from the docstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.docs_site.paths import ROOT

PRIVATE = ("cli", "utils")
"""Packages without a page: the command line and utilities."""


def api_pages() -> dict[str, str]:
    """Return the pages of the API reference by path."""
    packages = sorted(path.parent for path in (ROOT / "nas").glob("*/__init__.py") if path.parent.name not in PRIVATE)
    lines = [f"- [`nas.{package.name}`]({package.name}.md): {_summary(package)}" for package in packages]
    index = "# API reference\n\nPackages of `nas`, from the docstrings.\n\n" + "\n".join(lines) + "\n\n::: nas\n"
    options = "    options: {show_submodules: false, heading_level: 2}\n"
    pages = {"api/index.md": index + options}
    for package in packages:
        modules = "\n".join(f"::: {module}\n    options: {{show_submodules: false}}\n" for module in _modules(package))
        pages[f"api/{package.name}.md"] = f"# nas.{package.name}\n\n{_summary(package)}\n\n{modules}"
    return pages


def _modules(package: Path) -> Iterator[str]:
    """Yield the dotted names of the modules of a package that define something."""
    for path in sorted(package.rglob("*.py")):
        if path.name != "__init__.py" and not path.name.startswith("_"):
            yield ".".join(path.relative_to(ROOT).with_suffix("").parts)


def _summary(package: Path) -> str:
    """Return the first line of the docstring of a package."""
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]
