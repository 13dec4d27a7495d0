"""The repetitions that a run has finished: a line each, from which an interrupted one goes on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from nas.blackbox.anytime import AnytimeCurve
from nas.cli.run_dir.layout import REPETITIONS, holds_repetitions, run_directory
from nas.utils.errors import NasError

PARTS = ("seed", "space", "dataset", "proxy", "evaluator", "method")
INCIDENTAL = {
    *(("method", key) for key in ("repetitions", "epochs", "callbacks", "evaluator")),  # the evaluator is a part itself
    *(("dataset", key) for key in ("root", "download", "on_device")),
    ("evaluator", "root"),
}
"""Options on which a repetition does not depend."""
NEEDED = {"seed", "genotype", "value", "queries", "spent", "curve"}
"""What a line must have to be gone on from."""


def finished(cfg: DictConfig) -> list[dict[str, Any]]:
    """The lines of the run that ``ckpt_path`` names, none where it is not set; one that was cut off is left out.

    Raises:
        NasError: where there is no such run, it was made with other options or by another version, or it has finished
            more repetitions than are asked for.
    """
    if cfg.ckpt_path is None:
        return []
    directory = run_directory(Path(cfg.ckpt_path).expanduser())
    if directory is None or not holds_repetitions(directory):
        raise NasError(f"ckpt_path: there is no {REPETITIONS} in {cfg.ckpt_path}: give the directory of such a run")
    _refuse_other_options(cfg, directory)
    rows: list[dict[str, Any]] = []
    for line in (directory / REPETITIONS).read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    _check_rows(rows, cfg.method.repetitions, directory / REPETITIONS)
    return rows


def _check_rows(rows: list[dict[str, Any]], wanted: int, path: Path) -> None:
    for number, row in enumerate(rows):
        if not isinstance(row, dict) or row.get("repetition") != number or not row.keys() >= NEEDED:
            raise NasError(
                f"ckpt_path: line {number + 1} of {path} is not what this version writes of repetition {number}: "
                "start anew in another directory"
            )
    if len(rows) > wanted:
        raise NasError(
            f"ckpt_path: {path} has {len(rows)} finished repetitions, more than method.repetitions={wanted}: ask for "
            "as many, or start anew in another directory"
        )


def _refuse_other_options(cfg: DictConfig, directory: Path) -> None:
    file = directory / ".hydra" / "config.yaml"
    if not file.is_file():
        raise NasError(f"ckpt_path: there is no {file}: what its repetitions were made with is not known")
    theirs, mine = _parts(OmegaConf.load(file)), _parts(cfg)
    other = sorted(key for key in theirs.keys() | mine.keys() if theirs.get(key) != mine.get(key))
    if other:
        raise NasError(
            f"ckpt_path: the repetitions in {directory} were made with another {', '.join(other)}: leave that as it "
            "was, or start anew in another directory"
        )


def _parts(cfg: Any) -> dict[str, Any]:
    """What repetitions depend on, by the name of the option."""
    found: dict[str, Any] = {}
    for part in PARTS:
        value = cfg.get(part)  # None in a record of a version without it
        if isinstance(value, DictConfig):
            value = cast(dict[str, Any], OmegaConf.to_container(value, resolve=True))
            found |= {f"{part}.{key}": one for key, one in value.items() if (part, key) not in INCIDENTAL}
        else:
            found[part] = value
    return found


def curve(found: AnytimeCurve) -> dict[str, Any]:
    """A curve in what JSON has: None is no number."""
    values = {name: [v if math.isfinite(v) else None for v in row] for name, row in found.values.items()}
    return {"spent": found.spent, "values": values, "end": found.end}


def trace_of(row: Mapping[str, Any]) -> AnytimeCurve:
    """The curve of a line."""
    saved = row["curve"]
    values = {name: [math.nan if v is None else v for v in values] for name, values in saved["values"].items()}
    return AnytimeCurve(saved["spent"], values, saved["end"])
