"""Files of the loggers; W&B never prompts, stays offline, and ends with its job."""

from __future__ import annotations

import csv
import json
import os
import socketserver
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.utils import instantiate
from pytorch_lightning.loggers import WandbLogger

import nas.cli.jobs.search
import nas.cli.run_dir.loggers
from nas.cli.build import finish_wandb
from nas.cli.run_dir.loggers import MetricsFile
from tests.support.compose_tools import composed, script, tiny

QUICK = ["trainer.max_epochs=2", "~callbacks.cell_plots"]


def search(output: Path, *overrides: str) -> None:
    """Run a search in this process."""
    with composed("search", *tiny("darts"), *QUICK, f"paths.output={output}", *overrides) as cfg:
        nas.cli.jobs.search.run(cfg)


def test_csv_logger_has_rows_per_epoch_and_part(tmp_path: Path) -> None:
    search(tmp_path, "logger=csv")
    with (tmp_path / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("train/loss", "train/accuracy", "arch/loss", "arch/accuracy", "val/loss", "val/accuracy"):
        assert [row["epoch"] for row in rows if row[name]] == ["0", "1"], name


def test_csv_logger_follows_a_file_that_a_resumed_run_rewrites(tmp_path: Path) -> None:
    """A kill after the first validation leaves a file without the columns of the training."""
    file = tmp_path / "metrics.csv"
    file.write_text("epoch,step,val/loss\r\n0,1,2.5\r\n", newline="")
    logger = MetricsFile(str(tmp_path))
    assert logger.experiment.metrics == []
    file.write_text("epoch,step,train/loss,val/loss\r\n0,1,,2.5\r\n0,1,3.5,\r\n", newline="")
    logger.log_metrics({"epoch": 1, "val/loss": 1.5}, step=3)
    logger.save()
    logger.log_metrics({"epoch": 1, "arch/loss": 4.5}, step=3)
    logger.save()
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert [row["val/loss"] for row in rows] == ["2.5", "", "1.5", ""]
    assert [row["epoch"] for row in rows] == ["0", "0", "1", "1"] and rows[3]["arch/loss"] == "4.5"


def test_logger_none_writes_no_metrics(tmp_path: Path) -> None:
    search(tmp_path, "logger=none")
    assert (tmp_path / "summary.json").exists() and not (tmp_path / "metrics.csv").exists()


def test_tensorboard_logger_writes_into_the_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.chdir(tmp_path)
    search(tmp_path / "run", "logger=tensorboard")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    (events,) = (tmp_path / "run").rglob("events.out.tfevents.*")
    found = EventAccumulator(str(events)).Reload()
    with (tmp_path / "run" / "metrics.csv").open(newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert [event.value for event in found.Scalars("train/loss")] == pytest.approx(losses) and len(losses) == 2


def wandb_options(*overrides: str) -> dict[str, Any]:
    """Return the arguments of ``wandb.init``."""
    with (
        composed("search", *tiny("darts"), "logger=wandb", "seed=3", "paths.output=somewhere", *overrides) as cfg,
        mock.patch("wandb.setup") as setup,
        mock.patch("wandb.init") as init,
    ):
        logger = instantiate(cfg.logger.wandb, _convert_="all")
        assert isinstance(logger, WandbLogger) and logger.experiment is init.return_value
    options = dict(init.call_args.kwargs)
    assert setup.call_args.args == (options["settings"],) and options["settings"].mode == options["mode"]
    return options


def test_wandb_logger_is_offline_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(nas.cli.run_dir.loggers, "_has_key", lambda wandb: True)
    before = dict(os.environ)
    found = wandb_options()
    assert found["mode"] == "offline" and found["settings"].silent and found["dir"] == "somewhere"
    assert wandb_options("logger.wandb.offline=false")["mode"] == "online"
    assert dict(os.environ) == before


def test_wandb_logger_keeps_the_mode_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    for offline, mode in (("true", "offline"), ("false", "disabled")):
        assert wandb_options(f"logger.wandb.offline={offline}")["mode"] == mode
        finish_wandb()
        assert os.environ["WANDB_MODE"] == "disabled"


@pytest.fixture
def server() -> Iterator[tuple[str, list[bytes]]]:
    """Yield an address that records every connection."""
    seen: list[bytes] = []

    class Note(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            seen.append(self.request.recv(1000))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_address[1]}", seen
        listening.shutdown()


def records(path: Path) -> Iterator[Any]:
    """Yield the records of an offline run: protobufs in LevelDB's log format after a header of seven bytes."""
    from wandb.proto import wandb_internal_pb2

    data, place, part = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        room = 32768 - place % 32768
        if room < 7:
            place += room
            continue
        size, kind = struct.unpack_from("<HB", data, place + 4)
        part += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            yield wandb_internal_pb2.Record.FromString(part)
            part = b""


class OfflineRun:
    """Content of an offline run for a later upload."""

    def __init__(self, job: Path) -> None:
        (self.path,) = (job / "wandb").glob("offline-run-*/run-*.wandb")
        found = list(records(self.path))
        (self.begin,) = [record.run for record in found if record.HasField("run")]
        self.exits = [record.exit.exit_code for record in found if record.HasField("exit")]
        self.config = {u.key: json.loads(u.value_json) for r in found for u in r.config.update}
        self.artifacts = [record.artifact for record in found if record.HasField("artifact")]
        self.logged: dict[str, list[Any]] = {}
        for item in (item for record in found for item in record.history.item):
            self.logged.setdefault(item.key or ".".join(item.nested_key), []).append(json.loads(item.value_json))


def test_wandb_logger_records_jobs_without_a_connection(
    tmp_path: Path, server: tuple[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run two jobs of a sweep, of which the second fails, without any settings of W&B."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    address, connections = server
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "WANDB_BASE_URL": address, "HTTP_PROXY": address, "HTTPS_PROXY": address}
    arguments = [*tiny("darts"), "trainer.max_epochs=2", "logger=wandb", "method.weight_step.optimizer.lr=0.025,1e30"]
    sweep = [f"hydra.sweep.dir={tmp_path}/sweep", "group=my_group"]
    done = script("search", "-m", *arguments, *sweep, cwd=tmp_path, env=places)
    assert done.returncode == 1 and "is nan" in done.stdout + done.stderr, done.stderr
    assert connections == []
    said = (done.stdout + done.stderr).lower()
    assert not any(words in said for words in ("wandb login", "api key", "enter your choice"))

    good, bad = (OfflineRun(tmp_path / "sweep" / str(job)) for job in (0, 1))
    assert good.begin.run_id != bad.begin.run_id and good.exits == [0] and bad.exits == [1]
    for run, rate in ((good, 0.025), (bad, 1e30)):
        assert (run.begin.project, run.begin.run_group, run.begin.job_type) == ("nas", "my_group", "search")
        assert run.begin.display_name == "darts-nas_bench_201-synthetic-s0"
        assert set(run.begin.tags) == {"darts", "nas_bench_201", "synthetic"}
        assert run.config["method"]["weight_step"]["optimizer"]["lr"] == rate and run.config["dataset"]["size"] == 64

    history = (tmp_path / "sweep" / "0" / "history.jsonl").read_text().splitlines()
    assert good.logged["train/loss"] == pytest.approx([json.loads(line)["train/loss"] for line in history])
    for name in ("cell", "scores"):
        (image,) = good.logged[f"{name}.filenames"][-1]
        assert (good.path.parent / "files" / image).stat().st_size > 1000
    (artifact,) = good.artifacts
    assert artifact.type == "genotype"
    assert {entry.path for entry in artifact.manifest.contents} == {"genotype.json", "cell.png"}
    assert bad.artifacts == []
