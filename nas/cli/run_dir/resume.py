"""Callbacks that make a run resumable, and those of a resumed run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from nas.callbacks.recording.run_state import RunState
from nas.cli.run_dir.checkpoints import read_checkpoint
from nas.cli.run_dir.course import check_course, encode_course
from nas.cli.run_dir.truncate import RewriteOnResume, rewrite_on_resume


@dataclass(frozen=True)
class Resume:
    """The resumable state of a run.

    Attributes:
        state: first callback of the trainer.
        rewrite: second callback, None for a run from scratch.
    """

    state: RunState
    rewrite: RewriteOnResume | None

    @property
    def callbacks(self) -> list[Any]:
        """The callbacks, in the order in which the trainer needs them before all others."""
        return [self.state] if self.rewrite is None else [self.state, self.rewrite]

    def finish(self, is_global_zero: bool) -> float:
        """Bring the files in line even if no epoch remained to train, and return the duration of the run in seconds.

        Call it after the training loop.
        """
        seconds = self.state.seconds()
        if self.rewrite is not None and is_global_zero:
            self.rewrite.apply()
        return seconds


def prepare_resume(cfg: DictConfig, path: Path | None, **options: Any) -> Resume:
    """Check that a run can be resumed from the checkpoint ``path``, before anything is built or changed.

    Args:
        cfg: configuration of the run.
        path: checkpoint file, None for a run from scratch.
        options: options of the run that the configuration does not name, such as its data set.

    Raises:
        NasError: if the run differs from that of the checkpoint, or its files are damaged.
    """
    rewrite = None
    if path is not None:
        checkpoint = read_checkpoint(path)
        check_course(cfg, checkpoint, **options)
        rewrite = rewrite_on_resume(cfg, path, checkpoint)
    return Resume(RunState(Path(cfg.paths.output), encode_course(cfg, **options)), rewrite)
