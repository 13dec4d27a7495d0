"""Navigation of the documentation site: known pages in a fixed order, and new pages without an edit."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

SECTIONS: dict[str, Sequence[str]] = {
    "First steps": ("getting_started.md", "glossary.md", "comparing.md", "image_folder.md"),
    "Results": ("results.md", "leaderboard.md", "report.md", "plots.md", "fidelity.md", "project/measurements.md"),
    "Reference": ("reference.md", "ranges.md"),
    "Project": ("project/contributing.md", "project/changelog.md", "project/security.md"),
}
"""Pages of each section in their order. A new page in docs/ joins the guides."""
GUIDES: dict[str, Sequence[str]] = {
    "Search": (
        "searching.md",
        "choosing_a_method.md",
        "sweeps.md",
        "hyperparameters.md",
        "speed.md",
        "budgets.md",
        "recurrent.md",
        "mobile.md",
    ),
    "Black-box search and proxies": ("blackbox.md", "predictors.md", "proxies.md"),
    "Training and deployment": ("training.md", "text.md", "deployment.md", "latency.md"),
    "Data": ("data.md", "benchmarks.md"),
    "Scale": ("parallel.md", "distributed.md", "scale.md", "logging.md"),
    "Extension": (
        "extending.md",
        "extending/space.md",
        "extending/choices.md",
        "library.md",
        "from_other_code.md",
    ),
}
"""Pages of each group of guides in their order."""
FOLDERS = {"methods": "Methods", "config": "Configuration", "api": "API"}
"""Folders of docs/ and the sections that list their pages, the index first."""


def navigation(pages: Iterable[str]) -> list[Any]:
    """Return the navigation for pages that are given by their paths below docs/."""
    remaining = set(pages) - {"index.md"}
    chosen, guides = _present(SECTIONS, remaining), _present(GUIDES, remaining)
    folders = {
        title: sorted((page for page in remaining if page.startswith(f"{folder}/")), key=_index_first)
        for folder, title in FOLDERS.items()
    }
    listed = {page for part in (chosen, guides, folders) for found in part.values() for page in found}
    groups = [{title: found} for title, found in guides.items() if found]
    sections: dict[str, list[Any]] = {**chosen, "Guides": [*groups, *sorted(remaining - listed)], **folders}
    order = ("First steps", "Guides", "Methods", "Results", "Reference", "Configuration", "API", "Project")
    return [{"Home": "index.md"}, *({title: sections[title]} for title in order if sections[title])]


def _present(sections: Mapping[str, Sequence[str]], pages: Container[str]) -> dict[str, list[str]]:
    return {title: [page for page in known if page in pages] for title, known in sections.items()}


def _index_first(path: str) -> tuple[bool, str]:
    return not path.endswith("/index.md"), path
