"""Options that contradict a list of seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.utils.errors import NasError


def test_repetitions_with_seeds_are_refused(tmp_path: Path) -> None:
    given = ["method=random_search", "evaluator=zero_cost", "seeds=[0,1]", f"hydra.run.dir={tmp_path}/run"]
    phrase = r"method.repetitions=2: it repeats one search with other seeds. Leave out seeds=\[0,1\]."
    with pytest.raises(NasError, match=phrase):
        prepare("search", [*given, "method.repetitions=2"])
    assert prepare("search", [*given, "method.repetitions=1"])
