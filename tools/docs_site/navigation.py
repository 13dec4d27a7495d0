"""Navigation of the documentation site: known pages in a fixed order, and new pages without an edit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

SECTIONS: dict[str, Sequence[str]] = {
    "First steps": ("getting_started.md", "glossary.md", "comparing.md", "image_folder.md"),
    "Guides": (
        "searching.md",
        "choosing_a_method.md",
        "recurrent.md",
        "sweeps.md",
        "hyperparameters.md",
        "speed.md",
        "training.md",
        "deployment.md",
        "latency.md",
        "data.md",
        "text.md",
        "mobile.md",
        "benchmarks.md",
        "proxies.md",
        "blackbox.md",
        "predictors.md",
        "budgets.md",
        "parallel.md",
        "logging.md",
        "distributed.md",
        "scale.md",
        "extending.md",
        "extending/space.md",
        "extending/choices.md",
        "library.md",
        "from_other_code.md",
    ),
    "Results": ("results.md", "leaderboard.md", "report.md", "plots.md", "fidelity.md", "project/measurements.md"),
    "Reference": ("reference.md", "ranges.md"),
    "Project": ("project/contributing.md", "project/changelog.md", "project/security.md"),
}
"""Pages of each section in their order. A new page in docs/ joins the guides."""
FOLDERS = {"methods": "Methods", "config": "Configuration", "api": "API"}
"""Folders of docs/ and the sections that list their pages, the index first."""


def navigation(pages: Iterable[str]) -> list[Any]:
    """Return the navigation for pages that are given by their paths below docs/."""
    remaining = set(pages) - {"index.md"}
    chosen = {title: [page for page in known if page in remaining] for title, known in SECTIONS.items()}
    folders = {
        title: sorted((page for page in remaining if page.startswith(f"{folder}/")), key=_index_first)
        for folder, title in FOLDERS.items()
    }
    listed = {page for part in (chosen, folders) for found in part.values() for page in found}
    chosen["Guides"] += sorted(remaining - listed)
    order = ("First steps", "Guides", "Methods", "Results", "Reference", "Configuration", "API", "Project")
    sections = {**chosen, **folders}
    return [{"Home": "index.md"}, *({title: sections[title]} for title in order if sections[title])]


def _index_first(path: str) -> tuple[bool, str]:
    return not path.endswith("/index.md"), path
