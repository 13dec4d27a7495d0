"""Hooks of MkDocs for the documentation site: generated pages, navigation, links to files of the root, equations.

Pages of docs/ keep links that work on the web view of a repository. The hooks adapt them to the site.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.docs_site.api import api_pages
from tools.docs_site.config_reference import config_pages
from tools.docs_site.methods import complete_method_page, method_index
from tools.docs_site.navigation import navigation
from tools.docs_site.paths import ROOT

ROOT_PAGES = {
    "README.md": "index.md",
    "BENCHMARKS.md": "project/measurements.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
}
"""Pages of the root directory and their places in the site."""
ROOT_FILES = ("CITATION.cff", "LICENSE")
"""Other files of the root directory that pages link."""
LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")
CELL = re.compile(r"<td.*?</td>", re.DOTALL)
CODE = re.compile(r"<code>[^<]+</code>")
LONG_CODE = re.compile(r"<code>([^<]{32,})</code>")
BREAK = re.compile(r"(?<=[|+,/_])|(?<==)(?=\S{16})|(?<=\.)(?=[a-z_]\S{16})")
EQUATION = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages, and set the navigation from all pages."""
    pages = {place: (ROOT / name).read_text(encoding="utf-8") for name, place in ROOT_PAGES.items()}
    pages |= {**config_pages(), **api_pages(), "methods/index.md": method_index()}
    pages |= {name: (ROOT / name).read_text(encoding="utf-8") for name in ROOT_FILES}
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    config.nav = navigation([file.src_uri for file in files.documentation_pages()])
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Complete the page of a method, and adapt links to files outside docs/."""
    place = page.file.src_uri
    if place.startswith("methods/") and place != "methods/index.md":
        markdown = complete_method_page(page.file.name, markdown)
    sources = {new: old for old, new in ROOT_PAGES.items()}
    source = PurePosixPath(sources.get(place, f"docs/{place}"))
    return LINK.sub(lambda link: link[1] + site_link(link[2], source, PurePosixPath(place)) + link[3], markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Replace equations in LaTeX by MathML, which browsers show without a script.

    Means stay beside their deviations. Codes in tables lose the backslashes that Markdown requires before ``|``, and
    long ones get places for a line break.
    """
    html = html.replace(" ± ", "&nbsp;±&nbsp;")
    html = CELL.sub(lambda cell: LONG_CODE.sub(_breakable, CODE.sub(_without_backslashes, cell[0])), html)
    return EQUATION.sub(lambda found: _equation(found[2], found[1] == "div"), html)


def _without_backslashes(code: re.Match[str]) -> str:
    return code[0].replace("\\|", "|")


def _breakable(code: re.Match[str]) -> str:
    """Allow line breaks in a genotype, a command or a list."""
    return f'<code class="long">{BREAK.sub("<wbr>", code[1])}</code>'


def _equation(latex: str, block: bool) -> str:
    for entity, character in ENTITIES.items():
        latex = latex.replace(entity, character)
    latex = re.sub(r"^\\[(\[]|\\[)\]]$", "", latex.strip()).strip()
    mathml = str(convert(latex, display="block" if block else "inline"))
    return f'<div class="equation">{mathml}</div>' if block else mathml


ENTITIES: Mapping[str, str] = {"&lt;": "<", "&gt;": ">", "&amp;": "&"}


def site_link(target: str, source: PurePosixPath, place: PurePosixPath) -> str:
    """Return the link to ``target`` in the site.

    Args:
        target: path relative to the file ``source`` of the repository, or an address.
        source: file that contains the link, relative to the root.
        place: place of its page in the site.
    """
    if "://" in target or target.startswith("mailto:"):
        return target
    path = posixpath.normpath((source.parent / target).as_posix())
    if path in ROOT_PAGES:
        found = ROOT_PAGES[path]
    elif path.startswith("conf/"):
        found = config_page(path)
    elif path.startswith("docs/"):
        found = path.removeprefix("docs/")
    elif path in ROOT_FILES:
        found = path
    else:
        return target  # a broken link, which MkDocs reports
    return posixpath.relpath(found, place.parent.as_posix())


def config_page(path: str) -> str:
    """Return the page of the configuration reference that shows a file of conf/."""
    return f"config/{path.removeprefix('conf/').partition('/')[0].removesuffix('.yaml')}.md"
