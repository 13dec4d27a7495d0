"""Pages in headless Chromium: layout in two widths, light and dark colors, the slider."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.cli.commands.report import command
from tests.support.report_tools import extended_run

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
]
PROBE = """
const grid = document.querySelector("section:last-of-type .grid, .grid");
const input = document.querySelector("#epoch-slider");
const visible = () => [...document.querySelectorAll(".picture")].findIndex(picture => picture.offsetHeight > 0);
const before = visible();
if (input) { input.value = 0; input.dispatchEvent(new Event("input")); }
const shown = [...document.querySelectorAll("svg.chart text")].filter(text => text.getBoundingClientRect().width > 0);
const smallest = Math.min(...shown.map(text => parseFloat(getComputedStyle(text).fontSize) * text.getScreenCTM().a));
parent.postMessage(JSON.stringify({width: innerWidth, content: document.documentElement.scrollWidth,
  columns: getComputedStyle(grid).gridTemplateColumns.split(" ").length, before, after: visible(), smallest}), "*");
"""
FRAME = """<!DOCTYPE html><iframe src="probed.html" style="width: {width}px; height: 2400px; border: 0"></iframe>
<script>addEventListener("message", event => {{ document.title = "RESULT" + event.data; }});</script>
"""  # a window of Chromium has at least 500 pixels, a frame has any width


@pytest.fixture(scope="module")
def pages(short_search: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return a page of one run and a page of several runs."""
    target = tmp_path_factory.mktemp("pages")
    runs = [str(extended_run(short_search, target / str(seed), 30, seed)) for seed in range(2)]
    found = {"one": target / "one.html", "several": target / "several.html"}
    assert command.main([*runs[:1], "--output", str(found["one"])]) == 0
    assert command.main([*runs, "--output", str(found["several"])]) == 0
    return found


def chromium(page: Path, width: int, dark: bool, *flags: str) -> str:
    """Open a page without a window and return the output."""
    options = [
        *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={width},2400"),
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    ]
    command_line = [str(CHROMIUM), *options, *flags, page.as_uri()]
    return subprocess.run(command_line, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("name", ["one", "several"])
def test_layout_fits_the_width(pages: dict[str, Path], name: str, width: int, tmp_path: Path) -> None:
    source = re.sub(r"<meta http-equiv.*?>", "", pages[name].read_text())  # the policy of the page forbids the probe
    probed = tmp_path / "probed.html"
    probed.write_text(source.replace("</body>", f"<script>{PROBE}</script></body>"))
    frame = tmp_path / "frame.html"
    frame.write_text(FRAME.format(width=width))
    shown = chromium(frame, 1600, False, "--virtual-time-budget=3000", "--dump-dom")
    found = json.loads(re.findall(r"RESULT(\{.*?\})", shown)[0])
    assert found["width"] == width and found["content"] <= width, "the page scrolls sideways"
    assert found["columns"] == (1 if width == 400 else 3)
    assert found["smallest"] >= 9, "text of charts is too small"
    if name == "one":
        assert found["after"] == 0 < found["before"], "the slider does not select a picture"


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_pictures_follow_the_theme(pages: dict[str, Path], dark: bool, width: int, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    chromium(pages["one"], width, dark, f"--screenshot={picture}")
    pixels = np.asarray(Image.open(picture).convert("RGB"), float)
    assert pixels.shape[1] == width
    brightness = pixels.mean(axis=2)
    background = np.median(brightness)
    assert background < 40 if dark else background > 240
    ink = np.abs(brightness - background) > 100
    assert 0.01 < ink.mean() < 0.4, "the page is blank, or its colors have no contrast"
    saturated = (pixels.max(axis=2) - pixels.min(axis=2)) > 60
    assert saturated.mean() > 0.001, "the lines of the charts are missing"
