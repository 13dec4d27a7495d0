"""docs/from_other_code.md: each command of the authors has a row, and the commands beside them run.

tests/docs/test_commands.py checks the choices of all commands, and composes their configurations.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nas.nn.cell_graph import CellGraph
from nas.spaces.darts.space import Darts
from nas.spaces.notation import parse_genotype
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.single_path.mobilenet_v2 import NOTATION as MOBILE
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.zoo.architectures import get_architecture
from tests.support.compose_tools import ROOT, TEXT, small
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
TEXTS = [command for command in COMMANDS if command not in IMAGES]
SEARCHES = [given for job, given in IMAGES if job == "search"]
TRAININGS = [given for job, given in IMAGES if job == "train" and "mode=eval" not in given]
EVALUATIONS = [given for job, given in IMAGES if "mode=eval" in given]
BATCHES = ("dataset.batch_size=8", "dataset.global_batch_size=null")
STEPS = ("epochs=2", "threads=1", "trainer.limit_train_batches=2")
PROXIES = (
    "method.ntk_batch=4",
    "method.repeats=1",
    "method.proxies=[{_target_:nas.proxies.ntk.Ntk},{_target_:nas.proxies.linear_regions.LinearRegions,batch_size:16}]",
)
QUICK = ("experiment=darts/recurrent_ptb", "protocol=darts_ptb", "weights=ptb_model.pt", "weights=cifar10_model.pt")
"""Part of the commands that the fast tests run."""
QUERIES = ("evaluator=zero_cost", "method.budget={queries:3}", "method.repetitions=1")


def test_page_names_the_commands_of_the_authors() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if "|" in line]
    assert [name for name in AUTHORS if not any(name in row for row in rows)] == []
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows if row.startswith("| "))
    assert len(SEARCHES) > 30 and len(TRAININGS) > 10 and len(EVALUATIONS) > 4
    assert sorted(job for job, _ in TEXTS) == ["search"] * 2 + ["train"] * 3
    assert sum(any(word in QUICK for word in given) for _, given in COMMANDS) == len(QUICK)


def cases(commands: Iterable[tuple[str, tuple[str, ...]]]) -> list[Any]:
    """Return commands as parameters of a test, slow ones unless they are in ``QUICK``."""
    return [
        pytest.param(job, given, id=" ".join(given)[:70], marks=() if set(given) & set(QUICK) else pytest.mark.slow)
        for job, given in commands
    ]


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


@pytest.mark.parametrize(("job", "given"), cases(TEXTS))
def test_reduced_run_on_text(job: str, given: tuple[str, ...], tmp_path: Path) -> None:
    kept = [word for word in given if not word.startswith(("trainer=", "dataset=", "weights="))]
    files = {"search": "genotype.json", "train": "model.pt"}
    more = [*STEPS, *small("recurrent"), "~callbacks.cell_plots"] if job == "search" else STEPS
    if "mode=eval" in given:
        torch.save(published_language_model(), tmp_path / "weights.pt")
        more, files = [f"weights={tmp_path}/weights.pt"], {"train": "summary.json"}
    elif job == "train":
        more = [*STEPS, "network.hidden_size=6"]
    run(job, *kept, *TEXT, *more, f"hydra.run.dir={tmp_path}/run").succeeded()
    assert (tmp_path / "run" / files[job]).is_file()
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert 1 < summary["val_perplexity" if job == "search" else "test_perplexity"] < 1e4


def published_language_model() -> dict[str, Tensor]:
    """Return weights of RNN_DARTS_V2 under the names of the authors, whose matrices are [inputs, outputs]."""
    space = Recurrent((), 12)
    state = space.network(parse_genotype(get_architecture("RNN_DARTS_V2").genotype), hidden_size=6).state_dict()
    found = {name: state[name] for name in ("decoder.weight", "decoder.bias")}
    found["encoder.weight"] = state["embedding.weight"]
    found["rnns.0._W0"] = torch.cat([state["cell.input.weight"], state["cell.hidden.weight"]], dim=1).T
    return found | {f"rnns.0._Ws.{node}": state[f"cell.nodes.{node}.weight"].T for node in range(8)}


@pytest.mark.parametrize(("job", "given"), cases(("train", given) for given in EVALUATIONS))
def test_reduced_evaluation_runs(job: str, given: tuple[str, ...], tmp_path: Path, folder: Path) -> None:
    """The weights have the names of the authors, and their network is small."""
    line = " ".join(given)
    kept = [word for word in given if not word.startswith(("weights=", "dataset=cifar"))]
    (name,) = [word.partition("=")[2] for word in given if word.startswith("genotype=")]
    classes = 3 if "imagenet" in line else 10
    torch.save({"state_dict": published_weights(name, classes, "imagenet" in line)}, tmp_path / "weights.pt")
    size = ["dataset.image_size=56"] if "imagenet" in line or "resize" in line else []
    size += ["dataset.resize=64"] if "resize" in line else []
    data = [word for word in reduced_data(line, folder) if "global_batch" not in word]
    given = (*kept, *data, *size, f"weights={tmp_path}/weights.pt", "evaluation.runs=1")
    run(job, *given, f"hydra.run.dir={tmp_path}/run").succeeded()
    assert 0 <= json.loads((tmp_path / "run" / "summary.json").read_text())["test_accuracy"] <= 100


def published_weights(name: str, classes: int, imagenet: bool) -> dict[str, Tensor]:
    """Return the weights of a small network, with numbered ops of cells as in the code of DARTS."""
    genotype = parse_genotype(get_architecture(name).genotype)
    space = Darts((3, 64, 64) if imagenet else (3, 32, 32), classes)
    options = {"channels": 4, "layers": 3, "stem": "imagenet" if imagenet else "cifar"}
    if genotype.space == MOBILE:
        space, options = MobileNetV2Space((3, 64, 64), classes), {"squeeze": 0.25}
    network = space.network(genotype, **options)
    state = network.state_dict()
    for path, graph in network.named_modules():
        for number, key in enumerate(graph.keys if isinstance(graph, CellGraph) else ()):
            (op, *_) = [*graph.edges[key].keys(), ""]
            ours, theirs = f"{path}.edges.{key}.{op}.", f"{path.removesuffix('.graph')}._ops.{number}."
            state = {n.replace(ours, theirs) if genotype.space != MOBILE else n: value for n, value in state.items()}
    return {f"module.{name}": value for name, value in state.items()}
