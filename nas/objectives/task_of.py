"""Choice of the task from a search space."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.objectives.classification import Classification
from nas.objectives.language_modeling import LanguageModeling
from nas.objectives.task import Task
from nas.spaces.base import Inputs, Space

TASKS: Mapping[Inputs, Callable[..., Task]] = {"images": Classification, "text": LanguageModeling}
"""Builder of a task, by the kind of data that the networks of a space take."""


def task_of(space: Space) -> Task:
    """Build the task of a space, with its ``task_options``."""
    return TASKS[space.inputs](**space.task_options)
