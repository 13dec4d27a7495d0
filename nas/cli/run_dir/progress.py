"""Progress of a long loop: a bar on a terminal, else a line of the log every half minute."""

from __future__ import annotations

import logging
import time

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

from nas.searches.pruning.rounds import format_duration
from nas.utils.progress_bar import progress_bar

log = logging.getLogger(__name__)
PAUSE = 30.0  # seconds between two lines of the log


class LoopProgress:
    """Callback with the number of finished items of a loop; use it as a context manager.

    Args:
        total: number of items.
        name: label of the bar and of the lines.
    """

    def __init__(self, total: int, name: str) -> None:
        self.total = total
        self.name = name
        self._start: tuple[float, int] | None = None  # time and number of items at the first call
        self._last_line = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = progress_bar(*columns)
        self._task = self._bar.add_task(name, total=total)

    def __enter__(self) -> LoopProgress:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, done: int) -> None:
        now = time.perf_counter()
        self._bar.update(self._task, completed=done)
        if self._start is None:
            self._start, self._last_line = (now, done), now
            if done:
                log.info("resumed after %d of %d architectures", done, self.total)
        elif now - self._last_line >= PAUSE and done < self.total:
            self._last_line = now
            each = (now - self._start[0]) / (done - self._start[1])
            remaining = format_duration(each * (self.total - done))
            log.info("%d/%d  %s  %.3f s each  %s remaining", done, self.total, self.name, each, remaining)
