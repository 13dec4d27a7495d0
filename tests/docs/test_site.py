"""Documentation site: pages of all methods, navigation, generated references, links and equations."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.support.compose_tools import ROOT, choices
from tests.support.docs_tools import PAGES
from tools.docs_site.api import api_pages
from tools.docs_site.config_reference import config_pages
from tools.docs_site.methods import complete_method_page, method_index
from tools.docs_site.navigation import navigation

METHOD_PAGES = sorted((ROOT / "docs" / "methods").glob("*.md"))


def test_each_method_has_a_page_and_is_in_the_index() -> None:
    assert [path.stem for path in METHOD_PAGES] == sorted(choices("method"))
    index = method_index()
    assert all(f"({path.name})" in index for path in METHOD_PAGES)


@pytest.mark.parametrize("path", METHOD_PAGES, ids=lambda path: path.stem)
def test_page_of_a_method_is_complete(path: Path) -> None:
    text = path.read_text()
    assert re.search(rf"method={path.stem}\b", text), "a command"
    assert "```math" in text and "https://" in text.partition("## Source")[2]
    assert f"- Implementation: [`conf/method/{path.stem}.yaml`](../../conf/method/{path.stem}.yaml)" in text
    assert max(map(len, text.splitlines())) <= 120
    whole = complete_method_page(path.stem, text)
    assert f"name: {path.stem}" in whole and "## Results" in whole


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:nas|conf|tests|tools|hydra_plugins)/[\w./-]+)`", page.read_text())
    written_by_the_reader = ("NAME", "conf/local/")
    files = [name for name in named if not any(part in name for part in written_by_the_reader)]
    assert not [name for name in files if not (ROOT / name).exists()]


def test_page_of_a_method_shows_its_published_results() -> None:
    page = complete_method_page("rsps", "# RSPS\n")
    assert "| CIFAR-10 | Test accuracy, % | tracked statistics | 84.07 ± 3.61 (3 runs)" in page


def test_navigation_contains_every_page_once_and_new_ones() -> None:
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    pages += ["index.md", "methods/index.md", "new_page.md", *config_pages(), *api_pages()]
    listed = [page for section in navigation(pages) for value in section.values() for page in _flat(value)]
    assert sorted(listed) == sorted(set(pages)) and "new_page.md" in listed


def _flat(value: Any) -> list[str]:
    if isinstance(value, dict):
        value = list(value.values())
    return [value] if isinstance(value, str) else [page for part in value for page in _flat(part)]


def test_configuration_reference_has_each_file_with_defaults_and_comments() -> None:
    pages = config_pages()
    for path in (ROOT / "conf").rglob("*.yaml"):
        group, _, name = path.relative_to(ROOT / "conf").with_suffix("").as_posix().partition("/")
        assert group == "local" or not name or f"\n## {name}\n" in pages[f"config/{group}.md"]
    assert "| `method.clip_norm`" not in pages["config/method.md"]
    assert "| `method.weight_step.clip_norm` | `5.0` |" in pages["config/method.md"]
    assert "| `seed` | `0` |" in pages["config/search.md"]
    assert "\n```\npython search.py method=bananas predictor=gaussian_process\n```\n" in pages["config/method.md"]
    grid = pages["config/hparams_search.md"]
    assert "alpha in DARTS:\n\n```\npython search.py -m hparams_search=darts_lr\n```\n\nHydra's basic sweeper" in grid
    assert (
        "| `method.strategy.model` | `kernels` | kernels: the authors' kernel densities; optuna: Optuna's TPE |"
        in pages["config/method.md"]
    )


def test_links_follow_pages_to_their_place_in_the_site() -> None:
    hooks = pytest.importorskip("tools.docs_site.hooks", exc_type=ImportError)
    readme, page = PurePosixPath("README.md"), PurePosixPath("docs/methods/darts.md")
    assert hooks.site_link("docs/data.md", readme, PurePosixPath("index.md")) == "data.md"
    assert (
        hooks.site_link("../../BENCHMARKS.md", page, PurePosixPath("methods/darts.md")) == "../project/measurements.md"
    )
    assert hooks.site_link("../../conf/method/darts.yaml", page, PurePosixPath("methods/darts.md")) == (
        "../config/method.md"
    )
    assert hooks.site_link("https://arxiv.org", page, page) == "https://arxiv.org"
    assert hooks.site_link("missing.md", readme, PurePosixPath("index.md")) == "missing.md"


def test_codes_of_tables_are_literal_and_can_break() -> None:
    hooks = pytest.importorskip("tools.docs_site.hooks", exc_type=ImportError)
    genotype = "\\|nor_conv_3x3~0\\|+\\|none~0\\|nor_conv_3x3~1\\|"
    html = hooks.on_page_content(f"<td><code>{genotype}</code> and <code>a\\|b</code></td><p><code>a\\|b</code></p>")
    shown = html.replace("<wbr>", "")
    assert '<code class="long">|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|</code> and <code>a|b</code></td>' in shown
    assert shown.endswith("<p><code>a\\|b</code></p>") and "|<wbr>none~0|<wbr>" in html
    command = "nas-search experiment=gaea/nas_bench_201 paths.data=DIR &amp;&amp; x"
    html = hooks.on_page_content(f"<td><code>{command}</code></td>")
    assert "experiment=<wbr>gaea/<wbr>nas_<wbr>bench_<wbr>201 paths.data=DIR &amp;&amp; x" in html


def test_equations_become_mathml() -> None:
    hooks = pytest.importorskip("tools.docs_site.hooks", exc_type=ImportError)
    html = hooks.on_page_content('<div class="arithmatex">\\[\na &lt; \\frac{1}{2}\n\\]</div>')
    assert html.startswith('<div class="equation"><math') and "<mfrac>" in html and "arithmatex" not in html
    for path in METHOD_PAGES:
        equation = re.findall(r"```math\n(.*?)```", path.read_text(), re.DOTALL)[0]
        assert "\\" not in re.sub(r"<[^>]+>", "", hooks.on_page_content(f'<div class="arithmatex">{equation}</div>'))


@pytest.mark.slow
def test_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    command = [sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "<math" in (tmp_path / "site" / "methods" / "darts.html").read_text()
    assert "nas.relaxations.gumbel" in (tmp_path / "site" / "api" / "relaxations.html").read_text()
