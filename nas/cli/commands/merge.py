"""Command ``nas-search merge``: merge the shards of a ranking into one run."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from nas.cli.interrupt import interrupt_on_signals
from nas.cli.overrides.conf_dir import PACKAGE
from nas.cli.overrides.parse import key_of
from nas.cli.overrides.run_record import FOLDER, config_file, saved_config, saved_overrides
from nas.cli.run_dir.elapsed import DURATION, TIMING, merge_timings
from nas.cli.run_dir.layout import SUMMARY_FILE, holds_ranking
from nas.proxies.ranking.score_log import LOG_FILE
from nas.utils.atomic_write import write_atomically, write_json
from nas.utils.errors import NasError
from nas.utils.is_number import is_number
from nas.utils.one_line_errors import one_line_errors
from nas.utils.program import job_command, program
from nas.utils.read_file import read_bytes, read_json
from nas.utils.tool_parser import ToolParser

if TYPE_CHECKING:  # the help needs no torch
    from nas.proxies.ranking.merge import Shard

DESCRIPTION = """Merge the finished runs of all shards of a ranking (mode=rank_proxies ranking.shard=1/N to N/N) into
one run, and write its report. KEY=VALUE are overrides of the report, such as paths.benchmark=DIR."""
OUTPUTS = ("ckpt_path", "hydra.run.dir", "paths.output", "ranking.shard")
"""Overrides that the merged run sets itself."""
DROPPED = ("ranking.shard", "paths.output")
"""Overrides of a shard that the merged run does not have."""


@one_line_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    interrupt_on_signals()
    options = _parser().parse(arguments)
    overrides = [text for text in options.runs if "=" in text and not os.path.isdir(text)]
    runs = [Path(text) for text in options.runs if text not in overrides]
    return _merge(runs, options.output, _report_arguments(options.config_dir, overrides))


def _parser() -> ToolParser:
    parser = ToolParser(f"{program('search')} merge", description=DESCRIPTION)
    parser.add_argument(
        "runs", nargs="+", metavar="RUN|KEY=VALUE", help="directory of a shard, or of a sweep of them; an override"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="directory of the merged run (default: merged, next to the first shard)",
    )
    parser.add_argument(
        "-cd", "--config-dir", type=Path, metavar="DIR", help="directory of the user's configuration, as of the shards"
    )
    return parser


def _report_arguments(config_dir: Path | None, overrides: Sequence[str]) -> list[str]:
    """Return the arguments of the report. Raises NasError for an override that the merged run sets itself."""
    for line in overrides:
        if key_of(line) in OUTPUTS:
            raise NasError(f"{line}: the merged run sets {key_of(line)} itself. Use --output for its directory.")
    return [*([] if config_dir is None else ["--config-dir", str(config_dir)]), *overrides]


def _merge(runs: Sequence[Path], output: Path | None, arguments: Sequence[str]) -> int:
    """Write the merged run and its report, and return the exit code of the report; after a failure nothing remains."""
    from nas.proxies.ranking.merge import merge_shards

    if not runs:
        raise NasError("merge: no run is given. Name the directories of the shards.")
    directories = [shard for run in runs for shard in _shards_in(run)]
    output = directories[0].parent / "merged" if output is None else output
    existed = os.path.lexists(output)
    if existed and (not output.is_dir() or any(output.iterdir())):
        raise NasError(f"--output {output}: exists already. Name a new directory.")
    log = merge_shards([_read(directory) for directory in directories])
    code = 1
    try:
        (output / FOLDER).mkdir(parents=True, exist_ok=True)
        _write_record(directories[0], output)
        write_atomically(output / LOG_FILE, log)
        write_json(output / TIMING, merge_timings([_seconds(directory) for directory in directories]))
        code = _write_report(output, arguments)
    finally:
        if code != 0:
            shutil.rmtree(output, ignore_errors=True)
        if code != 0 and existed:
            output.mkdir(exist_ok=True)
    return code


def _write_report(output: Path, arguments: Sequence[str]) -> int:
    """Write the report of the merged run and return the exit code of this process.

    The merged run is a complete ranking without a report, so that resuming it writes the report.
    """
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "nas.cli.search", *arguments, f"ckpt_path={output}"]
    # a separate session: Ctrl-C reaches this process alone, which then removes the incomplete run
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, start_new_session=True)
    try:
        return process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


def _shards_in(run: Path) -> list[Path]:
    if holds_ranking(run):
        return [run]
    shards = sorted(path.parent for path in run.glob(f"*/{LOG_FILE}") if path.parent.name != "merged")
    if not shards:
        raise NasError(f"merge {run}: contains no ranking. Name runs of mode=rank_proxies ranking.shard=NUMBER/COUNT.")
    return shards


def _read(directory: Path) -> Shard:
    from nas.proxies.ranking.merge import read_shard

    shard = read_shard(directory)
    if not (directory / SUMMARY_FILE).is_file():
        raise NasError(
            f"{directory}: shard {shard.number}/{shard.shards} is unfinished, with {len(shard.records)} scores. Run "
            f"{job_command('search')} {shlex.quote(f'ckpt_path={directory}')}"
        )
    return shard


def _seconds(shard: Path) -> float | None:
    """Return the duration of the run of a shard, None if it is unknown."""
    try:
        found = read_json(shard / SUMMARY_FILE)
    except (OSError, ValueError):
        return None
    seconds = found.get(DURATION) if isinstance(found, dict) else None
    return float(seconds) if is_number(seconds) else None


def _write_record(shard: Path, output: Path) -> None:
    """Write Hydra's record of a shard without the options of the shard."""
    overrides = [line for line in saved_overrides(shard) if key_of(line) not in DROPPED]
    config: dict[str, Any] = saved_config(shard)
    if isinstance(config.get("ranking"), dict):
        config["ranking"]["shard"] = None
    if isinstance(config.get("paths"), dict):
        config["paths"]["output"] = str(output)
    write_atomically(output / FOLDER / "overrides.yaml", yaml.safe_dump(overrides))
    write_atomically(config_file(output), yaml.safe_dump(config, sort_keys=False))
    write_atomically(output / FOLDER / "hydra.yaml", read_bytes(shard / FOLDER / "hydra.yaml"))


if __name__ == "__main__":
    sys.exit(main())
