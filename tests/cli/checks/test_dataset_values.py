"""Values that an experiment or protocol sets for its own data set, with another data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.main import prepare
from nas.utils.errors import NasError
from tests.support.error_tools import NB201, run

OWN = "protocol=nas_bench_201_12_cifar10 dataset=cifar100"
CUTOUT = "experiment=r_darts/dp dataset=imagenet16_120"
FITTING = "dataset.split=halves dataset.mean=[0.5,0.5,0.5] dataset.std=[0.2,0.2,0.2]"
TRAIN = f"genotype={NB201}"


@pytest.mark.parametrize(
    ("job", "line", "keys", "fix"),
    [
        ("train", OWN, "dataset.mean, dataset.std for dataset=cifar10", "dataset.mean=[0.50705882,"),
        ("train", "protocol=nas_bench_201_12_cifar10 dataset=digits", "dataset.std for", "dataset.mean=[0.3052]"),
        (
            "train",
            f"{OWN} {FITTING.split()[1]}",
            "sets dataset.std for dataset=cifar10",
            "dataset.std=[0.26745098,",
        ),
        ("search", CUTOUT, "dataset.cutout", "dataset.cutout=0"),
        ("search", "experiment=te_nas/darts_imagenet dataset=cifar10", "dataset.image_size", "~dataset.color_jitter"),
        (
            "train",
            "protocol=r_darts_cifar100 dataset=cifar10",
            "dataset.mean, dataset.std",
            "dataset.mean=[0.49139968,",
        ),
        ("train", "protocol=darts_imagenet dataset=cifar10", "dataset.image_size", "dataset.image_size=null"),
        ("train", "protocol=nas_bench_201_12_cifar10_valid dataset=cifar100", "dataset.mean", "dataset=cifar10."),
    ],
)
def test_values_of_another_data_set_are_refused(job: str, line: str, keys: str, fix: str) -> None:
    given = [*([TRAIN] if job == "train" else []), *line.split()]
    with pytest.raises(NasError) as caught:
        prepare(job, given)
    message = str(caught.value)
    assert message.startswith("dataset=") and keys in message and fix in message, message


@pytest.mark.parametrize(
    ("job", "line"),
    [
        ("train", f"{OWN} {FITTING}"),
        ("search", "experiment=drnas/nas_bench_201 dataset=cifar100"),
        ("search", "experiment=gdas/nas_bench_201 dataset=digits"),
        ("search", "experiment=gdas/nas_bench_201 dataset=cifar10"),
        ("search", "experiment=gdas/nas_bench_201 dataset=synthetic dataset.split=halves"),
        ("search", "experiment=r_darts/dp dataset=cifar100"),
        ("search", "experiment=darts_pt/blank space=darts_s1 dataset=cifar100"),
        ("train", "protocol=darts_cifar10 dataset=cifar100"),
        ("train", "protocol=nas_bench_201_200_cifar100 dataset=imagenet16_120"),
    ],
)
def test_values_that_fit_the_data_set_are_accepted(job: str, line: str) -> None:
    prepare(job, [*([TRAIN] if job == "train" else []), *line.split()])


def test_advice_of_the_refusal_works() -> None:
    with pytest.raises(NasError) as caught:
        prepare("search", ["experiment=te_nas/darts_imagenet", "dataset=cifar10"])
    advice = str(caught.value).partition(" Add ")[2].partition(", or use")[0]
    prepare("search", ["experiment=te_nas/darts_imagenet", "dataset=cifar10", *advice.split()])


def test_jobs_of_a_sweep_refuse_values_of_another_data_set(tmp_path: Path) -> None:
    done = run("search", "-m", *CUTOUT.split(), f"hydra.sweep.dir={tmp_path}")
    assert done.code == 1 and "Traceback" not in done.said + done.erred
    assert (tmp_path / "0" / "failure.txt").read_text().startswith("dataset=imagenet16_120: experiment=r_darts/dp")
