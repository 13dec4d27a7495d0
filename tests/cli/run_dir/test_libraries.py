"""Log lines of libraries: the output of a run begins with the rows of the run."""

from __future__ import annotations

from pathlib import Path

from tests.support.compose_tools import script, succeeded, tiny


def test_first_line_is_not_that_of_a_library(tmp_path: Path) -> None:
    """Without a font cache, as on a new machine, matplotlib logs that it makes one."""
    fonts, run = tmp_path / "fonts", tmp_path / "run"
    fonts.mkdir()
    done = script("search", *tiny(), f"hydra.run.dir={run}", cwd=tmp_path, env={"MPLCONFIGDIR": str(fonts)})
    assert succeeded(done).splitlines()[0].split()[0] in ("defaults", "run")
    assert any(fonts.iterdir())
    assert "font" not in (run / "search.log").read_text()
