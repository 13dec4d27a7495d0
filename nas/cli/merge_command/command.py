"""Command ``nas-search merge``: join the shards of a ranking to one run."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from nas.cli.interrupt import INTERRUPTED
from nas.cli.overrides.conf_dir import PACKAGE
from nas.cli.overrides.parse import key_of
from nas.cli.overrides.run_record import FOLDER, config_file, saved_config, saved_overrides
from nas.cli.run_dir.layout import SUMMARY_FILE, holds_ranking
from nas.proxies.ranking.merge import Shard, merge_shards, read_shard
from nas.proxies.ranking.score_log import LOG_FILE
from nas.utils.atomic_write import write_atomically
from nas.utils.errors import NasError, one_line
from nas.utils.program import program

DESCRIPTION = """Join the finished runs of all shards of a ranking (mode=rank_proxies ranking.shard=1/N to N/N) to one
run, and write its report."""
DROPPED = ("ranking.shard", "paths.output")
"""Overrides of a shard that the joined run does not have."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    options = _parser().parse_args(sys.argv[1:] if arguments is None else arguments)
    try:
        output = _merge(options.runs, options.output)
    except (NasError, OSError) as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        return INTERRUPTED
    # the joined run is a complete ranking without a report: resuming it writes the report
    path = os.pathsep.join([str(PACKAGE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-m", "nas.cli.search", f"ckpt_path={output}"]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}).returncode


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(f"{program('search')} merge", description=DESCRIPTION)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="directory of a shard, or of a sweep of them")
    parser.add_argument(
        "--output", type=Path, metavar="DIR", help="directory of the joined run (merged, beside the first shard)"
    )
    return parser


def _merge(runs: Sequence[Path], output: Path | None) -> Path:
    """Write log and record of the joined run, and return its directory."""
    directories = [shard for run in runs for shard in _shards_in(run)]
    output = directories[0].parent / "merged" if output is None else output
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise NasError(f"--output {output}: it exists. Give a new directory.")
    shards = [_read(directory) for directory in directories]
    log = merge_shards(shards)
    (output / FOLDER).mkdir(parents=True, exist_ok=True)
    _write_record(directories[0], output)
    write_atomically(output / LOG_FILE, log)
    return output


def _shards_in(run: Path) -> list[Path]:
    if holds_ranking(run):
        return [run]
    found = sorted(path.parent for path in run.glob(f"*/{LOG_FILE}") if path.parent.name != "merged")
    if not found:
        raise NasError(
            f"{run}: there is no ranking in it. Give the runs of mode=rank_proxies ranking.shard=NUMBER/COUNT."
        )
    return found


def _read(directory: Path) -> Shard:
    shard = read_shard(directory)
    if not (directory / SUMMARY_FILE).is_file():
        raise NasError(
            f"{directory}: shard {shard.number}/{shard.shards} is unfinished, with {len(shard.records)} scores. Resume "
            f"it by ckpt_path={directory}."
        )
    return shard


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
    write_atomically(output / FOLDER / "hydra.yaml", (shard / FOLDER / "hydra.yaml").read_bytes())


if __name__ == "__main__":
    sys.exit(main())
