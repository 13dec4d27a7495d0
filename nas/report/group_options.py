"""Options that influence the results of a run, by which a comparison groups runs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from nas.report.run import Run
from nas.spaces.notation import native_string

IGNORED = ("seed", "seeds", "run_name", "group", "tags", "job_type", "genotype_name", "ckpt_path")
IGNORED_SECTIONS = ("hydra", "paths", "logger", "extras")
IGNORED_OF_TRAINER = (
    *("accelerator", "default_root_dir", "detect_anomaly", "enable_checkpointing", "enable_model_summary"),
    *("enable_progress_bar", "log_every_n_steps", "logger", "max_steps", "max_time", "num_sanity_val_steps"),
    "profiler",
)
"""Options of the trainer without an effect on the results of a finished run. A run that a limit stops has none."""
DEVICES = ("cpu", "gpu")
"""Values of ``trainer`` that select only the accelerator."""
CHOICES = ("method", "space", "dataset", "experiment")
WITH_GENOTYPE = ("train", "eval", "export")
"""Kinds of runs of a given genotype."""


def options_of(run: Run) -> dict[str, str]:
    """Return the options that influence the results of a run, apart from its seed.

    Recorded choices, and the name of a given genotype, replace the overrides.
    """
    options = {key: value for key, value in run.overrides.items() if not _is_ignored(key, value)}
    for part in CHOICES:
        override = options.pop(part, "")
        choice = run.choices.get(part) or override or run.name_of(part)
        options |= {part: choice} if choice and choice != "null" else {}
    genotype = genotype_name(run) if run.kind in WITH_GENOTYPE else ""
    return options | ({"genotype": genotype} if genotype else {})


def genotype_name(run: Run) -> str:
    """Return the published name of the genotype of a run, else its space and a hash, "" if the genotype is unknown."""
    published = run.summary.get("published")
    name = published.get("name") if isinstance(published, Mapping) else None
    if isinstance(name, str) and name:
        return name
    native = run.summary.get("genotype")
    if not isinstance(native, str) and run.genotype is not None:
        native = native_string(run.genotype)
    if not isinstance(native, str):
        return ""
    return f"{run.name_of('space') or 'genotype'}-{hashlib.sha256(native.encode(errors='replace')).hexdigest()[:6]}"


def _is_ignored(key: str, value: str) -> bool:
    section, _, name = key.partition(".")
    if section == "trainer":
        return name.partition(".")[0] in IGNORED_OF_TRAINER if name else value in DEVICES
    return key in IGNORED or section in IGNORED_SECTIONS
