"""Groups of the other program are refused with advice, except in experiments of the user's own directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.program_groups import OTHER_GROUPS, SETTINGS, check_group
from nas.utils.errors import NasError
from tests.support.error_tools import run


@pytest.mark.parametrize(("job", "group"), [(job, group) for job, groups in OTHER_GROUPS.items() for group in groups])
def test_group_of_the_other_program_is_refused(job: str, group: str) -> None:
    value = "gdas/nas_bench_201" if group == "experiment" else "anything"
    with pytest.raises(NasError, match=f"^{group}={value}: .*has no group {group}. "):
        check_group(job, group, value)


def test_other_groups_and_own_experiments_are_accepted() -> None:
    check_group("search", "method", "gdas")
    check_group("train", "protocol", "darts_cifar10")
    check_group("train", "experiment", "my_training")


def test_all_groups_are_directories() -> None:
    for group in [*SETTINGS, *OTHER_GROUPS["search"], *OTHER_GROUPS["train"]]:
        assert (CONF / group).is_dir()


@pytest.mark.parametrize("override", ["method=gdas", "callbacks=default", "experiment=gdas/nas_bench_201"])
def test_command_line_names_the_group(override: str, tmp_path: Path) -> None:
    run("train", "genotype=DARTS_V2", override, f"hydra.run.dir={tmp_path}/run").refused("has no group")
    assert not (tmp_path / "run").exists()


def test_file_that_chooses_a_group_of_the_other_program_is_named(tmp_path: Path) -> None:
    found = run("train", "-m", "hparams_search=darts_lr", f"hydra.sweep.dir={tmp_path}/sweep")
    found.refused("hparams_search=darts_lr: it sets the group method, which", "does not have. Use")
    assert not (tmp_path / "sweep").exists()


def test_file_that_overrides_an_unknown_group_is_named(tmp_path: Path) -> None:
    file = tmp_path / "conf" / "experiment" / "mine.yaml"
    file.parent.mkdir(parents=True)
    file.write_text("# @package _global_\ndefaults:\n  - override /methods: darts\n")
    found = run("search", "-cd", str(tmp_path / "conf"), "experiment=mine", f"hydra.run.dir={tmp_path}/run")
    found.refused("experiment=mine: it overrides methods, which is not in the defaults. Correct the name")
