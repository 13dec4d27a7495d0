"""Studies in a journal: count of trials over processes, interrupted trials, refused files."""

from __future__ import annotations

import errno
import fcntl
import os
from dataclasses import replace
from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.pruners import NopPruner
from optuna.samplers import RandomSampler
from optuna.trial import TrialState

from nas.cli.study.options import StudyOptions
from nas.cli.study.shared_study import SharedStudy
from nas.cli.study.trial_state import name_of
from nas.utils.directory_lock import DirectoryLock
from nas.utils.errors import NasError

SPACE = {"x": FloatDistribution(0.0, 1.0), "m": CategoricalDistribution(("a", "b"))}


def options(folder: Path, trials: int = 5) -> StudyOptions:
    return StudyOptions(trials, 1, ("result",), ("maximize",), None, folder / "study.log", "nas", 0, {}, {})


def open_study(folder: Path, trials: int = 5, fixed: tuple[str, ...] = (), sweep: Path | None = None) -> SharedStudy:
    return SharedStudy(options(folder, trials), SPACE, RandomSampler(), NopPruner(), fixed, sweep)


def test_processes_share_the_number_of_trials(tmp_path: Path) -> None:
    one, two = open_study(tmp_path), open_study(tmp_path)
    with DirectoryLock(tmp_path / "a", "a"), DirectoryLock(tmp_path / "b", "b"):
        numbers = []
        for position in range(5):
            study, sweep = ((one, "a"), (two, "b"))[position % 2]
            trial = study.ask(tmp_path / sweep)
            assert trial is not None
            numbers.append(trial.number)
        assert numbers == [0, 1, 2, 3, 4]
        assert one.ask(tmp_path / "a") is None and two.ask(tmp_path / "b") is None
        two.tell(0, TrialState.COMPLETE, [0.5])
        one.tell(0, TrialState.COMPLETE, [0.7])  # the other process was first
        one.tell(1, TrialState.FAIL, attributes={"failure": "no memory"})
        assert one.ask(tmp_path / "a") is None  # a failed trial counts
        found = one.finished()
        assert found[0].values == [0.5] and found[1].user_attrs["failure"] == "no memory"


def test_trials_of_ended_processes_do_not_count(tmp_path: Path) -> None:
    study = open_study(tmp_path, trials=2)
    with DirectoryLock(tmp_path / "a", "a"):
        lost = study.ask(tmp_path / "a")
    with DirectoryLock(tmp_path / "b", "b"):
        other = open_study(tmp_path, trials=2)
        kept, further = other.ask(tmp_path / "b"), other.ask(tmp_path / "b")
        assert lost is not None and kept is not None and further is not None
        assert other.ask(tmp_path / "b") is None
        states = [name_of(trial) for trial in other.finished()]
        assert states == ["interrupted", "running", "running"]
        other.interrupt(further.number, "interrupted")
        assert other.ask(tmp_path / "b") is not None


def test_killed_process_is_followed_in_its_own_directory(tmp_path: Path) -> None:
    """The new process locks the directory itself, so that the lock says nothing about the earlier one."""
    with DirectoryLock(tmp_path / "a", "a"), DirectoryLock(tmp_path / "b", "b"):
        study = open_study(tmp_path, trials=2)
        study.ask(tmp_path / "a"), study.ask(tmp_path / "b")
        again = open_study(tmp_path, trials=2, sweep=tmp_path / "a")
        assert [name_of(trial) for trial in again.finished()] == ["interrupted", "running"]
        assert again.ask(tmp_path / "a") is not None and again.ask(tmp_path / "a") is None


def test_journal_without_locks_is_refused_if_they_are_required(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> bool:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDWR:
            raise OSError(errno.EBADF, "Bad file descriptor")  # as NFS
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("nas.cli.study.shared_study.try_lock", fail)
    phrase = r"study\.log: its file system has no locks \(No locks available\).*extras\.require_lock=false"
    with pytest.raises(NasError, match=phrase):
        open_study(tmp_path)
    given = replace(options(tmp_path), locks=False)
    assert SharedStudy(given, SPACE, RandomSampler(), NopPruner()).ask(tmp_path / "a") is not None


def test_other_studies_are_refused(tmp_path: Path) -> None:
    study = open_study(tmp_path, fixed=("epochs=1", "seed=0"))
    with DirectoryLock(tmp_path / "a", "a"):
        study.ask(tmp_path / "a")
    given = options(tmp_path)
    for wrong, space, phrase in (
        (replace(given, directions=("minimize",)), SPACE, "its study is to maximize result"),
        (replace(given, objectives=("macs",)), SPACE, "its study is to maximize result"),
        (given, {**SPACE, "m": CategoricalDistribution(("a", "c"))}, "other values for m"),
        (given, {"x": SPACE["x"]}, "other values for m"),
    ):
        with pytest.raises(NasError, match=phrase):
            SharedStudy(wrong, space, RandomSampler(), NopPruner())
    assert open_study(tmp_path, fixed=("epochs=2", "seed=0")).changed == ["epochs=1", "epochs=2"]
    assert SharedStudy(replace(given, name="other"), {}, RandomSampler(), NopPruner()).finished() == []


@pytest.mark.parametrize("content", [b"not a journal\nat all\n", b'{"a": 1}\n', b"\xff\xfe\n\n"])
def test_file_that_is_no_journal_is_refused_and_kept(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "study.log").write_bytes(content)
    with pytest.raises(NasError, match=r"study\.log: it is no journal of Optuna"):
        open_study(tmp_path)
    assert (tmp_path / "study.log").read_bytes() == content
