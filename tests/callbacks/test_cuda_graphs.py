"""Option ``cuda_graphs``: values and refusals. The steps are tested in tests/gpu/test_simulated.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.callbacks.cuda_graphs import CudaGraphs
from nas.utils.errors import NasError
from tests.support.error_tools import SEARCH, run


def test_graphs_need_a_gpu(tmp_path: Path) -> None:
    found = run("search", *SEARCH, "method=darts", "cuda_graphs=true", f"hydra.run.dir={tmp_path}/r")
    found.refused("cuda_graphs=true: this search uses no CUDA device. Use trainer=gpu, or cuda_graphs=auto.")


@pytest.mark.parametrize("mode", ["auto", "false"])
def test_other_values_change_nothing_on_a_cpu(mode: str, tmp_path: Path) -> None:
    run("search", *SEARCH, "method=darts", "epochs=1", f"cuda_graphs={mode}", f"hydra.run.dir={tmp_path}/r").succeeded()
    assert json.loads((tmp_path / "r/summary.json").read_text())["accelerator"] == "cpu"


def test_invalid_value() -> None:
    with pytest.raises(NasError, match="cuda_graphs=yes: use auto, true or false"):
        CudaGraphs("yes")  # type: ignore[arg-type]
