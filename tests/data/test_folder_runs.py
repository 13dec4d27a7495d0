"""nas.data.folder in runs of search.py and train.py: search, training, broken images and resumption."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support.compose_tools import lines, script, succeeded
from tests.support.error_tools import NB201, run
from tests.support.folder_tools import image_folder, truncate_file, write_image
from tests.support.resume_tools import DARTS, assert_equal, checkpoint, metrics, resume

SMALL = ("network.channels=4", "network.cells_per_stage=1")
SEARCH = (
    "method=gdas", "space.channels=4", "space.cells_per_stage=1", "dataset.batch_size=4", "dataset.num_workers=0",
    "dataset.image_size=8",
)  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("my images"))


def test_folder_in_a_search_and_its_training(root: Path, tmp_path: Path) -> None:
    search, train = tmp_path / "search", tmp_path / "train"
    found = run("search", *SEARCH, "dataset=folder", f"dataset.root={root}", "epochs=1", f"hydra.run.dir={search}")
    found.succeeded()
    listed = json.loads((search / "subset.json").read_text())
    assert (len(listed["train"]), len(listed["valid"])) == (24, 24) and lines(search / "history.jsonl")
    more = ["epochs=2", "dataset.batch_size=8", "dataset.num_workers=0", f"hydra.run.dir={train}"]
    found = run("train", *SMALL, f"genotype={search}", *more)
    found.succeeded()
    summary = json.loads((train / "summary.json").read_text())
    assert summary["dataset"] == "folder" and summary["best_test_accuracy"] >= summary["test_accuracy"] > 0
    assert f"{summary['test_accuracy']:.2f} % after epoch 2 (best {summary['best_test_accuracy']:.2f} %" in found.said
    assert yaml.safe_load((train / ".hydra" / "config.yaml").read_text())["dataset"]["root"] == str(root)
    again = tmp_path / "again"
    run(
        "search", *SEARCH, "dataset=folder", f"dataset.root={root}", "epochs=1", "seed=5", f"hydra.run.dir={again}",
        f"dataset.subset={search}/subset.json",
    ).succeeded()  # fmt: skip
    assert json.loads((again / "subset.json").read_text()) == listed


def test_folder_with_an_imagenet_protocol(root: Path, tmp_path: Path) -> None:
    """Run the whole protocol at 32 pixels, on a network of three cells without an auxiliary head."""
    arguments = [
        f'genotype="{DARTS}"', "protocol=pc_darts_imagenet", f"dataset.root={root}", "dataset.classes=3", "epochs=2",
        "dataset.image_size=32", "dataset.global_batch_size=24", "dataset.num_workers=0", "network.channels=4",
        "network.layers=3", "network.auxiliary=false", f"hydra.run.dir={tmp_path}/run",
    ]  # fmt: skip
    run("train", *arguments).succeeded()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == 2
    rate = checkpoint(tmp_path / "run")["lr_schedulers"][0]["_last_lr"]
    assert rate == [pytest.approx(0.5 * 3 / 5)], "learning rate of the third epoch, during the warm-up"


def test_folder_rejects_invalid_options_in_a_run(root: Path, tmp_path: Path) -> None:
    place = f"hydra.run.dir={tmp_path}/run"

    def refused(*arguments: str, phrases: list[str]) -> None:
        run("train", *SMALL, f"genotype={NB201}", "epochs=1", place, *arguments).refused(*phrases)

    refused("dataset=folder", phrases=["dataset.root=null: missing"])
    refused("dataset=imagenet", f"paths.data={tmp_path}", phrases=[f"{tmp_path}/imagenet/train: no such folder"])
    refused("dataset=imagenet", f"dataset.root={root}", phrases=["has 3 classes", "dataset.classes=1000"])
    refused(
        "dataset=folder",
        f"dataset.root={root}",
        "dataset.on_broken_image=go",
        phrases=["dataset.on_broken_image", "skip, stop"],
    )
    refused("dataset=folder", f"dataset.root={root}", "dataset.split=halves", phrases=["dataset.split"])
    refused("dataset=imagenet16_120", f"paths.data={tmp_path}", phrases=["train_data_batch_1 is missing"])


def test_folder_with_broken_images_in_a_run(tmp_path: Path) -> None:
    bad = truncate_file(image_folder(tmp_path / "images", 6, 2) / "train" / "bee" / "bee_2.JPEG")
    arguments = [*SMALL, f"genotype={NB201}", "dataset=folder", f"dataset.root={tmp_path}/images", "epochs=1"]
    arguments += ["dataset.num_workers=1", "dataset.batch_size=4"]
    run("train", *arguments, f"hydra.run.dir={tmp_path}/a").refused(str(bad), "dataset.on_broken_image=skip")
    found = run("train", *arguments, "dataset.on_broken_image=skip", f"hydra.run.dir={tmp_path}/b")
    assert found.code == 0 and found.said.count(str(bad)) == 1


@pytest.mark.parametrize(("epoch", "batch"), [(1, 2), (2, None)])
@pytest.mark.slow
def test_folder_training_resumes_after_a_kill(epoch: int, batch: int | None, root: Path, tmp_path: Path) -> None:
    """Resume with workers, moving average, gradient accumulation, parameter groups, drop path and warm-up."""
    arguments = [
        f'genotype="{DARTS}"', "dataset=folder", f"dataset.root={root}", "dataset.image_size=8",
        "dataset.num_workers=1", "dataset.batch_size=8", "dataset.cutout=4", "network.channels=4", "network.layers=3",
        "training.drop_path=0.4", "ema=0.9", "trainer.accumulate_grad_batches=2", "training.decay_norm_and_bias=false",
        "epochs=4", "training.label_smoothing=0.1", "training.scheduler.schedule=linear",
        "training.scheduler.warmup_epochs=2", "channels_last=true", "trainer.precision=bf16-mixed",
    ]  # fmt: skip
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    succeeded(script("train", *arguments, f"hydra.run.dir={whole}", cwd=tmp_path))
    kill = {"_target_": "tests.support.compose_tools.KillOnce", "flag": tmp_path / "flag", "epoch": epoch}
    kill |= {} if batch is None else {"batch": batch}
    more = [f"+callbacks.kill.{key}={value}" for key, value in kill.items()]
    done = script("train", *arguments, *more, f"hydra.run.dir={broken}", cwd=tmp_path)
    assert done.returncode == -9, done.stderr
    resume("train", broken)
    one, other = checkpoint(whole), checkpoint(broken)
    keys = ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers", "random")
    for key in (*keys, "best", "global_step"):
        assert_equal(one[key], other[key], key)
    assert metrics(whole) == metrics(broken)
    first, second = (json.loads((run / "summary.json").read_text()) for run in (whole, broken))
    for key in ("test_accuracy", "test_loss", "best_test_accuracy", "best_epochs"):
        assert first[key] == second[key]


@pytest.mark.slow
def test_folder_search_on_two_ranks(root: Path, tmp_path: Path) -> None:
    probe = ["+callbacks.probe._target_=tests.support.ddp_probe.Probe", f"+callbacks.probe.directory={tmp_path}"]
    arguments = ["dataset=folder", f"dataset.root={root}", *SEARCH, "epochs=2", *probe]
    done = script("search", *arguments, "trainer=ddp_cpu", f"hydra.run.dir={tmp_path}/run", cwd=tmp_path)
    succeeded(done)
    first, second = (lines(tmp_path / f"rank{rank}.jsonl") for rank in (0, 1))
    batches = [{line["batch"] for line in rank if line["what"] != "epoch"} for rank in (first, second)]
    assert len(batches[0]) == len(batches[1]) == 12 and not batches[0] & batches[1]
    epochs = [[line for line in rank if line["what"] == "epoch"] for rank in (first, second)]
    assert len(epochs[0]) == 2 and epochs[0] == epochs[1]
    assert (tmp_path / "run" / "subset.json").exists()


def test_folder_of_classes_alone_keeps_its_test_images(tmp_path: Path) -> None:
    """A search divides CLASS/* and lists the images; its training, a resume and an evaluation use the same list."""
    root = image_folder(tmp_path / "all", 12, 1) / "train"
    search, train = tmp_path / "search", tmp_path / "train"
    options = ["dataset=folder", f"dataset.root={root}"]
    found = run("search", *SEARCH, *options, "epochs=1", "seed=3", f"hydra.run.dir={search}")
    found.succeeded()
    assert "folder: 3 classes, images of 3 x 8 x 8 (15 train, 15 val, 6 test)" in found.said
    listed, subset = (json.loads((search / f"{name}.json").read_text()) for name in ("images", "subset"))
    assert (len(listed["train"]), len(listed["test"])) == (30, 6)
    assert set(subset["train"] + subset["valid"]) == set(listed["train"]) - set(listed["test"])
    write_image(root / "ant" / "a_new_image.png", 0, 99)
    more = ["epochs=1", "dataset.batch_size=8", "dataset.num_workers=0"]
    found = run("train", *SMALL, f"genotype={search}", *more, f"hydra.run.dir={train}")
    found.succeeded()
    assert "(30 train, 6 test)" in found.said and "1 images in" in found.said
    assert (train / "images.json").read_bytes() == (search / "images.json").read_bytes()
    found = run("train", f"ckpt_path={train}", "epochs=2", f"hydra.run.dir={tmp_path}/longer")
    found.succeeded()
    assert (tmp_path / "longer" / "images.json").read_bytes() == (search / "images.json").read_bytes()
    (search / "images.json").rename(tmp_path / "moved.json")
    run("train", "mode=eval", f"weights={train}", "evaluation.runs=1", f"hydra.run.dir={tmp_path}/eval").succeeded()
    first, again = (json.loads((tmp_path / name / "summary.json").read_text()) for name in ("train", "eval"))
    assert again["test_accuracy"] == pytest.approx(first["test_accuracy"]) and again["images"] == 6
    (root / listed["test"][0]).unlink()
    run("train", *SMALL, f"genotype={train}", *options, *more, f"dataset.test_list={tmp_path}/moved.json").refused(
        f"dataset.test_list={tmp_path}/moved.json: lists {listed['test'][0]}, which is not in {root}"
    )
