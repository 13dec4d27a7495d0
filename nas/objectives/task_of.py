"""Choice of the task from a search space."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.objectives.classification import Classification
from nas.objectives.language_modeling import LanguageModeling
from nas.objectives.task import Task
from nas.spaces.base import Inputs, Space
from nas.utils.errors import NasError

TASKS: Mapping[Inputs, Callable[..., Task]] = {"images": Classification, "text": LanguageModeling}
"""Builder of a task, by the kind of data that the networks of a space take."""


def task_of(space: Space, label_smoothing: float = 0.0) -> Task:
    """Build the task of a space, with its ``task_options``.

    Raises NasError for label smoothing without images.
    """
    if label_smoothing and space.inputs != "images":
        raise NasError(
            f"method.label_smoothing={label_smoothing}: space={space.name} takes no images. Use "
            "method.label_smoothing=0.0."
        )
    smoothing = {"label_smoothing": label_smoothing} if label_smoothing else {}
    return TASKS[space.inputs](**{**space.task_options, **smoothing})
