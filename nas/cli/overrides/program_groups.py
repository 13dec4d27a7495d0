"""Configuration groups of the two programs: those that search.py or train.py does not have."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nas.cli.overrides.conf_dir import group_choices
from nas.utils.errors import NasError
from nas.utils.program import program

SEARCH_ONLY = "It belongs to a search; train.py trains the genotype of any method."
OTHER_GROUPS: Mapping[str, Mapping[str, str]] = {
    "search": {
        "network": "Set budget.network for the final network of a budget, and network.NAME when you train it.",
        "protocol": "Use experiment=NAME for published searches.",
    },
    "train": {
        "callbacks": "Its callbacks are fixed; set options of one, such as callbacks.checkpoint.every_n_train_steps.",
        "evaluator": SEARCH_ONLY,
        "executor": SEARCH_ONLY,
        "experiment": "Use protocol=NAME for published trainings.",
        "method": SEARCH_ONLY,
        "normalization": "Use protocol=NAME, or dataset.mean and dataset.std.",
        "predictor": SEARCH_ONLY,
        "proxy": SEARCH_ONLY,
        "ranking": SEARCH_ONLY,
    },
}
"""Groups of conf/ that belong to the other program, with the advice of the error."""
SETTINGS = ("extras", "paths", "ranking")
"""Groups with a single file: settings and not choices, which the help leaves out."""


def check_group(job: str, group: str, value: str) -> None:
    """Raise NasError for a choice of a group that the program of ``job``, "search" or "train", does not have.

    An experiment in the user's directory may be one for train.py.
    """
    advice = OTHER_GROUPS[job].get(group)
    if advice is None or (group == "experiment" and value not in group_choices(group)):
        return
    raise NasError(f"{group}={value}: {program(job)} has no group {group}. {advice}")


def foreign_file(text: str) -> NasError | None:
    """Return the error for a file whose defaults choose a group that its program lacks, None for other errors.

    Args:
        text: the message of Hydra.
    """
    found = re.match(r"In '(?P<group>.+)/(?P<name>[^/']+)': Could not override '(?P<key>[^'@]+)", text)
    if found is None:
        return None
    choice, key = f"{found['group']}={found['name']}", found["key"]
    for job, groups in OTHER_GROUPS.items():
        if key in groups:
            other = program("search" if job == "train" else "train")
            return NasError(f"{choice}: it sets the group {key}, which {program(job)} does not have. Use {other}.")
    return NasError(
        f"{choice}: it overrides {key}, which is not in the defaults. Correct the name, or leave out 'override'."
    )
