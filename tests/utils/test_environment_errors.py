"""Environment variables that a package rejects at its import."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.utils.environment_errors import environment_error
from tests.support.compose_tools import script
from tests.support.error_tools import SEARCH


@pytest.mark.parametrize(
    ("place", "reason"), [("file", "file exists"), ("file/cache", "not a directory"), ("link", "file exists")]
)
def test_run_names_the_variable_of_the_cache(place: str, reason: str, tmp_path: Path) -> None:
    """PyTorch creates the directory at an import, in a search without compilation too."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "absent")
    directory = tmp_path / place
    given = [*SEARCH, "method=gdas", f"hydra.run.dir={tmp_path}/run"]
    found = script("search", *given, cwd=tmp_path, env={"TORCHINDUCTOR_CACHE_DIR": str(directory)})
    assert found.returncode == 1
    assert found.stderr == (
        f"error: TORCHINDUCTOR_CACHE_DIR={directory}: PyTorch cannot create its directory of compiled code ({reason}). "
        "Set TORCHINDUCTOR_CACHE_DIR to a writable directory.\n"
    )


def test_programs_name_an_unknown_backend_of_matplotlib(tmp_path: Path) -> None:
    """Notebooks set the variable, and commands that they start inherit it."""
    backend = "nonsense"
    line = f"error: MPLBACKEND={backend}: Matplotlib has no such backend here. Run unset MPLBACKEND.\n"
    for given in ([*SEARCH, "method=gdas", f"hydra.run.dir={tmp_path}/run"], ["plot", "GDAS_V1"]):
        found = script("search", *given, cwd=tmp_path, env={"MPLBACKEND": backend})
        assert (found.returncode, found.stderr) == (1, line)
    assert not (tmp_path / "GDAS_V1.png").exists()


def test_other_errors_are_of_no_variable(tmp_path: Path) -> None:
    with pytest.raises(OSError) as error:
        (tmp_path / "none" / "x").mkdir()
    assert environment_error(error.value) is None and environment_error(ValueError("cache_dir")) is None
