"""Summary run of a sweep in W&B: tables of its jobs and of the means over seeds, and plots."""

from __future__ import annotations

import secrets
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from nas.cli.run_dir.layout import PARETO_FILE, STUDY_RESULTS
from nas.cli.run_dir.sweep_print import SHOWN, state_columns
from nas.cli.run_dir.wandb_run import WandbRun, read_record, sync_command
from nas.utils.direction import higher_is_better
from nas.utils.errors import one_line

JOB_TYPE = "sweep"
SEED = "seed"

Row = Mapping[str, Any]


def log_sweep(
    sweep: Path, rows: Sequence[Row], swept: Sequence[str], columns: Sequence[str], means: Sequence[Row]
) -> None:
    """Log a sweep as a run in the project and the group of its jobs. A failure of W&B is only printed.

    Args:
        sweep: directory of the sweep.
        rows: one row per job, with its directory.
        swept: the swept keys.
        columns: the columns of results.
        means: means and standard deviations over seeds, empty if the seed was not swept.
    """
    record = next(filter(None, (read_record(Path(row["directory"])) for row in rows)), None)
    if record is None:
        return
    try:
        _log(record, sweep, rows, swept, columns, means)
    except Exception as error:  # the results of all jobs are complete at this point
        print(f"wandb          the summary of the sweep was not logged: {one_line(error)[:300]}")


def configurations(rows: Sequence[Row], swept: Sequence[str], name: str) -> dict[str, list[float]]:
    """Return the values of a column by configuration: the swept values except the seed."""
    keys = [key for key in swept if key != SEED]
    numbers: dict[str, list[float]] = {}
    for row in rows:
        value = row.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = " ".join(f"{key.rpartition('.')[2]}={row[key]}" for key in keys) or str(row.get("method", name))
            numbers.setdefault(text, []).append(float(value))
    return numbers


def _log(
    record: Row, sweep: Path, rows: Sequence[Row], swept: Sequence[str], columns: Sequence[str], means: Sequence[Row]
) -> None:
    import wandb

    from nas.plotting.figure import save_figure
    from nas.plotting.sweep import sweep_figure

    logger = WandbRun(
        save_dir=str(sweep),
        mode=record.get("mode"),
        log_model=False,
        project=record.get("project"),
        entity=record.get("entity") or None,
        group=record.get("group"),
        name=str(record.get("group") or sweep.name),
        job_type=JOB_TYPE,
        tags=[JOB_TYPE],
        id=secrets.token_hex(4),  # not that of WANDB_RUN_ID, which the jobs have
    )
    run = logger.experiment
    offline = sync_command(run) is not None
    content: dict[str, Any] = {"jobs": _table(rows, ["job", *swept, *columns, *state_columns(rows)])}
    if means:
        content["means"] = _table(means, list(means[0]))
    for name in (name for name in SHOWN if name in columns):
        values = configurations(rows, swept, name)
        if not values:
            continue
        file = sweep / f"sweep_{name.replace('/', '_')}.png"
        save_figure(sweep_figure(values, name, higher_is_better(name)), file)
        content[f"plots/{name}"] = wandb.Image(str(file))
    if (sweep / PARETO_FILE).is_file():
        content["plots/pareto"] = wandb.Image(str(sweep / PARETO_FILE))
    run.log(content)
    counted = {"jobs_total": len(rows), "jobs_failed": sum("failure" in row for row in rows)}
    counted |= {"jobs_pruned": sum("pruned" in row for row in rows)} if "pruned" in state_columns(rows) else {}
    run.summary.update(counted | study_summary(sweep))
    wandb.finish()
    if offline:  # printed like the tables: the log of a sweep has the format of Hydra
        print(f"upload all     {_sync_command(sweep, rows)}")


def study_summary(sweep: Path) -> dict[str, Any]:
    """Return the best value and parameters of a study of one objective, empty for any other sweep."""
    file = sweep / STUDY_RESULTS
    content = yaml.safe_load(file.read_text()) if file.is_file() else {}
    if "best_value" not in content:
        return {}
    return {
        "best_value": content["best_value"],
        **{f"best/{key}": value for key, value in content["best_params"].items()},
    }


def _sync_command(sweep: Path, rows: Sequence[Row]) -> str:
    """Return the command that uploads the runs of all jobs and that of the sweep."""
    folders = [_wandb_folder(Path(row["directory"])) for row in rows]
    if all(folder.name == "wandb" and folder.parent.parent == sweep for folder in folders):
        patterns = [f"{shlex.quote(str(sweep))}/*/wandb"]
    else:
        patterns = [shlex.quote(str(folder)) for folder in dict.fromkeys(folders)]
    patterns.append(f"{shlex.quote(str(sweep))}/wandb")
    return " ".join(["wandb sync", *(f"{pattern}/offline-run-*" for pattern in patterns)])


def _wandb_folder(directory: Path) -> Path:
    """Return the folder of W&B's files of a run, which an option or WANDB_DIR may have moved."""
    folder = (read_record(directory) or {}).get("folder")
    return Path(folder) if isinstance(folder, str) else directory / "wandb"


def _table(rows: Sequence[Row], columns: Sequence[str]) -> Any:
    import wandb

    data = [[_cell(row.get(name)) for name in columns] for row in rows]
    return wandb.Table(columns=list(columns), data=data, allow_mixed_types=True)


def _cell(value: Any) -> Any:
    return (
        value if isinstance(value, int | float | str) and value != "" else None if value in (None, "") else str(value)
    )
