"""docs/from_other_code.md: each command of the authors has a row, and the commands beside them run.

tests/docs/test_commands.py checks the choices of all commands, and composes their configurations.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.compose_tools import ROOT
from tests.support.docs_tools import commands
from tests.support.error_tools import run
from tests.support.folder_tools import image_folder

PAGE = ROOT / "docs" / "from_other_code.md"
SCRIPTS = ("DARTS-V1", "DARTS-V2", "GDAS", "SETN", "ENAS", "RANDOM-NAS", "R-EA", "Random", "REINFORCE", "BOHB")
AUTHORS = [
    *(f"{name}.sh cifar10" for name in SCRIPTS),
    *(f"NASNet-space-search-by-{name}.sh cifar10" for name in ("GDAS", "GDAS-FRC", "DARTS1V", "SETN")),
    *(f"nas-infer-train.sh {data} GDAS_V1" for data in ("cifar10", "cifar100", "imagenet-1k")),
    "retrain-searched-net.sh cifar10",
    "train-a-net.sh",
    *(f"prune_launch.py --space nas-bench-201 --dataset {data}" for data in ("cifar10", "cifar100", "ImageNet16-120")),
    *(f"prune_launch.py --space darts --dataset {data}" for data in ("cifar10", "imagenet-1k")),
    *(f"--seed 10` ({letter})" for letter in "abcdefghij"),
    "`train.py --auxiliary --cutout --arch noisy_darts_a`",
    *(f"`{name}.py " for name in ("verify", "verify_se", "verify_transfer")),
    "`cd 201-space && python train_search.py`",
    "`cd 201-space && python train_search_progressive.py`",
    "`cd DARTS-space && python train_search.py`",
    "`cd DARTS-space && python train_search_imagenet.py`",
    "`cd DARTS-space && python train.py --cutout --auxiliary`",
    "`cd DARTS-space && python train_imagenet.py --auxiliary`",
    "`cd cnn && python test.py --auxiliary",
    "`cd cnn && python test_imagenet.py --auxiliary",
    "`cd cnn && python train_search.py --unrolled`",
    "`cd cnn && python train.py --auxiliary --cutout`",
    "`cd cnn && python train_imagenet.py --auxiliary`",
    "`cd cnn && python visualize.py DARTS`",
    "`cd rnn && python train_search.py --unrolled`",
    "`cd rnn && python train.py`",
    "`cd rnn && python train.py --data ../data/wikitext-2",
    "`cd rnn && python test.py --model_path ptb_model.pt`",
]
"""Commands of the READMEs, or parts of them."""
COMMANDS = sorted({(job, tuple(given)) for job, given in commands(PAGE) if not given[0].startswith("--")})
IMAGES = [(job, given) for job, given in COMMANDS if not any("recurrent" in word or "RNN" in word for word in given)]
"""The commands on images; tests of the recurrent space run the others."""
SEARCHES = [given for job, given in IMAGES if job == "search"]
TRAININGS = [given for job, given in IMAGES if job == "train" and "mode=eval" not in given]
BATCHES = ("dataset.batch_size=8", "dataset.global_batch_size=null")
STEPS = ("epochs=2", "threads=1", "trainer.limit_train_batches=2")
PROXIES = (
    "method.ntk_batch=4",
    "method.repeats=1",
    "method.proxies=[{_target_:nas.proxies.ntk.Ntk},{_target_:nas.proxies.linear_regions.LinearRegions,batch_size:16}]",
)
QUERIES = ("evaluator=zero_cost", "method.budget={queries:3}", "method.repetitions=1")


def test_page_names_the_commands_of_the_authors() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if "|" in line]
    assert [name for name in AUTHORS if not any(name in row for row in rows)] == []
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows if row.startswith("| "))
    assert len(SEARCHES) > 30 and len(TRAININGS) > 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("data") / "imagenet", train=16, val=2)


def reduced_data(line: str, folder: Path) -> list[str]:
    """Return the overrides for a few images: random ones, or files in place of ImageNet."""
    if "imagenet" not in line or "imagenet16" in line:
        return ["dataset=synthetic", "dataset.shape=[3,32,32]", "dataset.size=32", "dataset.test_size=32", *BATCHES]
    root = [f"dataset.root={folder}", "dataset.classes=3", "dataset.num_workers=0", "dataset.eval_batch_size=4"]
    return [*root, *(() if "te_nas/" in line else ("dataset.global_batch_size=8", "dataset.batch_size=4"))]


@pytest.mark.slow
@pytest.mark.parametrize("given", SEARCHES, ids=lambda value: " ".join(value)[:70])
def test_reduced_search_runs(given: tuple[str, ...], tmp_path: Path, folder: Path) -> None:
    line = " ".join(given)
    kept = [word for word in given if not word.startswith(("trainer=", "dataset="))]
    size = ["space.cells_per_stage=1"] if "nas_bench_201" in line else ["space.layers=4"]
    size.append("space.channels=12" if "drnas_progressive" in line else "space.channels=8")
    size += ["dataset.image_size=64", "dataset.subset_fractions=[0.5,0.5]"] if "imagenet " in f"{line} " else []
    queries = any(name in line for name in ("random_search", "evolution", "bohb", "reinforce"))
    more = QUERIES if queries else ()
    more = PROXIES if "te_nas" in line else more
    steps = STEPS if not more else STEPS[1:2]
    run("search", *kept, *reduced_data(line, folder), *size, *steps, *more, f"hydra.run.dir={tmp_path}").succeeded()
    assert (tmp_path / "genotype.json").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("given", TRAININGS, ids=lambda value: " ".join(value)[:70])
def test_reduced_training_runs(given: tuple[str, ...], tmp_path: Path, folder: Path) -> None:
    line = " ".join(given)
    kept = [word for word in given if not word.startswith("trainer=")]
    kept = [word.replace("genotype=RUN", "genotype=GDAS_V1") for word in kept]
    size = ["network.cells_per_stage=1"] if "nas_bench_201" in line else ["network.layers=3"]
    more = ("network.channels=4", *STEPS, f"hydra.run.dir={tmp_path}")
    run("train", *kept, *reduced_data(line, folder), *size, *more).succeeded()
    assert (tmp_path / "model.pt").is_file()
