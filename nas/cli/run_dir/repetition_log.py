"""Log of finished repetitions (repetitions.jsonl), from which an interrupted run is resumed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any, cast

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from nas.blackbox.anytime import AnytimeCurve
from nas.cli.run_dir.layout import REPETITIONS, holds_repetitions, run_directory
from nas.cli.run_dir.read_yaml import read_yaml, record_of
from nas.cli.run_dir.task_overrides import task_overrides
from nas.utils.errors import NasError, one_line
from nas.utils.json_lines import read_log
from nas.utils.read_file import parse_json
from nas.utils.user_path import user_path

PARTS = ("seed", "space", "dataset", "proxy", "evaluator", "method")
IRRELEVANT = {
    *(
        ("method", key) for key in ("repetitions", "epochs", "callbacks", "evaluator", "executor")
    ),  # the evaluator is a part itself
    *(("dataset", key) for key in ("root", "download", "on_device", "split_record", "test_list", "test_list_file")),
    ("evaluator", "root"),
}
"""Options that do not change the result of a repetition."""
REQUIRED = {"seed", "genotype", "value", "queries", "spent", "curve"}
"""Keys of a complete line."""


def read_repetitions(cfg: DictConfig) -> list[dict[str, Any]]:
    """Read the lines of the run that ``ckpt_path`` names, without an incomplete last one; none if it is not set.

    Raises:
        NasError: if there is no such run, it has other options or is of another version, a line is damaged, or it has
            more finished repetitions than ``method.repetitions``.
    """
    if cfg.ckpt_path is None:
        return []
    directory = run_directory(user_path(cfg.ckpt_path))
    if directory is None or not holds_repetitions(directory):
        raise NasError(
            f"ckpt_path={cfg.ckpt_path}: there is no {REPETITIONS} in it. Set ckpt_path to the directory of a run "
            "with repetitions."
        )
    _check_options(cfg, directory)
    rows = read_log(directory / REPETITIONS, parse_json)
    _check_rows(rows, cfg.method.repetitions, directory / REPETITIONS)
    return rows


def _check_rows(rows: list[dict[str, Any]], wanted: int, path: Path) -> None:
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or row.get("repetition") != number or not _is_complete(row):
            raise NasError(
                f"ckpt_path: line {number + 1} of {path} is not a line of this version for repetition {number}. Start "
                "from scratch in another directory."
            )
    if len(rows) > wanted:
        raise NasError(
            f"method.repetitions={wanted}: {path} has {len(rows)} finished repetitions. Give at least as many, or "
            "start from scratch in another directory."
        )


def _is_complete(row: Mapping[str, Any]) -> bool:
    """Return whether a line has all values, each of its type."""
    if not row.keys() >= REQUIRED or not isinstance(row["genotype"], str) or not isinstance(row["curve"], dict):
        return False
    spent, values, end = (row["curve"].get(key) for key in ("spent", "values", "end"))
    if not isinstance(spent, list) or not spent or not isinstance(values, dict) or "value" not in values:
        return False
    optional = [row["value"], *chain.from_iterable(column for column in values.values() if isinstance(column, list))]
    return (
        all(isinstance(column, list) and len(column) == len(spent) for column in values.values())
        and all(type(value) in (int, float) for value in (*spent, end, row["queries"], row["spent"]))
        and all(type(value) in (int, float, type(None)) for value in optional)
    )


def _check_options(cfg: DictConfig, directory: Path) -> None:
    """Raise NasError if the run in ``directory`` has other options than ``cfg``."""
    file = directory / ".hydra" / "config.yaml"
    if not file.is_file():
        raise NasError(f"ckpt_path: there is no {file}, so the options of its repetitions are unknown.")
    own = compose(HydraConfig.get().job.config_name, task_overrides())  # with interpolations: the job has resolved some
    saved = record_of(read_yaml(file), file, OmegaConf.to_container(own, resolve=False))
    try:
        theirs, ours = _relevant_options(saved), _relevant_options(cfg)
    except (OmegaConfBaseException, ValueError, RecursionError) as error:
        raise NasError(f"{file} is damaged: {one_line(error)[:300]}") from None
    different = sorted(key for key in theirs.keys() | ours.keys() if theirs.get(key) != ours.get(key))
    if different:
        raise NasError(
            f"ckpt_path: the repetitions in {directory} have another {', '.join(different)}. Give the same, or start "
            "from scratch in another directory."
        )


def _relevant_options(cfg: Any) -> dict[str, Any]:
    """Return the options that repetitions depend on, by dotted key."""
    relevant: dict[str, Any] = {}
    for part in PARTS:
        value = cfg.get(part)  # None in a record of a version without it
        if isinstance(value, DictConfig):
            options = cast(dict[str, Any], OmegaConf.to_container(value, resolve=True))
            relevant |= {f"{part}.{key}": option for key, option in options.items() if (part, key) not in IRRELEVANT}
        else:
            relevant[part] = value
    return relevant


def encode_curve(curve: AnytimeCurve) -> dict[str, Any]:
    """Return an anytime curve as JSON values, with None for NaN."""
    values = {name: [v if math.isfinite(v) else None for v in row] for name, row in curve.values.items()}
    return {"spent": curve.spent, "values": values, "end": curve.end}


def decode_curve(row: Mapping[str, Any]) -> AnytimeCurve:
    """Return the anytime curve of a line."""
    saved = row["curve"]
    values = {name: [math.nan if v is None else v for v in column] for name, column in saved["values"].items()}
    return AnytimeCurve(saved["spent"], values, saved["end"])
