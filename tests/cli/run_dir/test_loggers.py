"""Files of the loggers: CSV, TensorBoard and MLflow."""

from __future__ import annotations

import csv
import importlib.util
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hydra.utils import instantiate

import nas.cli.jobs.search
from nas.cli.build import build_trainer
from nas.cli.run_dir.loggers import MetricsFile
from nas.utils.errors import NasError
from tests.support.compose_tools import composed, tiny

QUICK = ["trainer.max_epochs=2"]


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


def test_tensorboard_logger_writes_curves_pictures_and_hyperparameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    monkeypatch.chdir(tmp_path)
    search(tmp_path / "run", "logger=tensorboard", "callbacks.cell_plots.every=1", "callbacks.curves.every=1", "seed=4")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"), {"images": 0}).Reload()
    for name in ("train/loss", "step/arch_loss", "step/weights_lr", "entropy", "ops/skip_connect", "memory/peak_gb"):
        expected = column(tmp_path / "run" / "metrics.csv", name)
        assert [event.value for event in found.Scalars(name)] == pytest.approx(expected), name
    assert len(found.Scalars("train/loss")) == 2 and len(found.Scalars("step/arch_loss")) == 4
    assert {tag: len(found.Images(tag)) for tag in found.Tags()["images"]} == {"cell": 2, "scores": 2, "evolution": 1}
    content = {tag: HParamsPluginData.FromString(data) for tag, data in found.PluginTagToContent("hparams").items()}
    start = content["_hparams_/session_start_info"].session_start_info.hparams
    assert start["method/name"].string_value == "darts" and start["seed"].number_value == 4
    metrics = {info.name.tag for info in content["_hparams_/experiment"].experiment.metric_infos}
    assert {"final/val_accuracy", "final/parameters", "final/search_seconds"} <= metrics
    assert "hp_metric" not in metrics
    (accuracy,) = found.Scalars("final/val_accuracy")
    assert accuracy.value == pytest.approx(column(tmp_path / "run" / "metrics.csv", "val/accuracy")[-1])
    assert "name: darts" in (tmp_path / "run" / "tensorboard" / "hparams.yaml").read_text()


def column(file: Path, name: str) -> list[float]:
    """Return the values of a column of metrics.csv."""
    with file.open(newline="") as opened:
        return [float(row[name]) for row in csv.DictReader(opened) if row[name]]


def test_mlflow_logger_records_curves_pictures_and_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow: Any = pytest.importorskip("mlflow")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    search(tmp_path / "run", "logger=mlflow", "callbacks.cell_plots.every=1", "callbacks.curves.every=1")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path}/run/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("nas").experiment_id])
    assert run.info.run_name == "darts-nas_bench_201-synthetic-s0" and run.data.params["method/name"] == "darts"
    assert len(client.get_metric_history(run.info.run_id, "step/train_loss")) == 4
    assert run.data.metrics["final/val_accuracy"] == run.data.metrics["val/accuracy"]
    assert {"cell", "scores", "genotype.json"} <= {file.path for file in client.list_artifacts(run.info.run_id)}
    assert run.info.artifact_uri.startswith((tmp_path / "run" / "mlartifacts").as_uri())
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("uri", [None, "http://localhost:5000"])
def test_mlflow_writes_into_the_run_directory_unless_a_server_is_given(
    uri: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    if uri is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    options = ("logger.mlflow.log_model=true", "logger.mlflow.run_id=abc")
    with (
        mock.patch("pytorch_lightning.loggers.MLFlowLogger.__init__", return_value=None) as init,
        composed("search", *tiny("darts"), "logger=mlflow", *options, f"paths.output={tmp_path}") as cfg,
    ):
        instantiate(cfg.logger.mlflow, _convert_="all")
    given = init.call_args.kwargs
    names = ("experiment_name", "run_name", "tags", "log_model", "run_id")
    assert {name: given[name] for name in names} == {
        "experiment_name": "nas",
        "run_name": "darts-nas_bench_201-synthetic-s0",
        "tags": {"job_type": "search", "group": "darts-nas_bench_201-synthetic"},
        "log_model": True,
        "run_id": "abc",
    }
    assert given["tracking_uri"] == (uri or f"sqlite:///{tmp_path}/mlflow.db")
    assert given.get("artifact_location") == (None if uri else (tmp_path / "mlartifacts").as_uri())


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_logger_without_its_package_names_the_command_that_installs_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with composed("search", *tiny("darts"), f"logger={name}", f"paths.output={tmp_path}") as cfg:
        problem = rf"logger={name}: {name} is not installed. Run pip install 'nas-compose\[{name}\]'"
        with pytest.raises(NasError, match=problem):
            build_trainer(cfg)


def test_logger_of_null_is_left_out(tmp_path: Path) -> None:
    search(tmp_path, "logger=csv", "logger.csv=null")
    assert (tmp_path / "summary.json").exists() and not (tmp_path / "metrics.csv").exists()


def test_empty_directory_is_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    logger = MetricsFile("")
    logger.log_metrics({"value": 1.0}, step=0)
    logger.save()
    assert (tmp_path / "metrics.csv").is_file()
