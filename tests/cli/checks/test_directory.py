"""Check of the output directory."""

from __future__ import annotations

from pathlib import Path

from tests.support.error_tools import SEARCH, run, snapshot


def test_check_directory_refuses_directories_of_other_runs(tmp_path: Path) -> None:
    for name in ("genotype.json", "summary.json", "checkpoints/last.ckpt"):
        directory = tmp_path / name.replace("/", "_") / "run"
        (directory / name).parent.mkdir(parents=True)
        (directory / name).write_text("{}")
        before = snapshot(tmp_path)
        run("search", *SEARCH, f"hydra.run.dir={directory}").refused(str(directory), "hydra.run.dir", "another")
        sweep = directory.parent
        run("search", "-m", *SEARCH, f"hydra.sweep.dir={sweep}").refused(
            str(sweep), "hydra.sweep.dir", "Choose another"
        )
        assert snapshot(tmp_path) == before


def test_check_directory_refuses_an_unwritable_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    run("search", *SEARCH, f"hydra.run.dir={tmp_path}/file").refused("hydra.run.dir: cannot write to", "Choose another")
    assert (tmp_path / "file").read_text() == "x"
