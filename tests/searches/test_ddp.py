"""Tests of distributed searches: different batches and the same architecture on two ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from nas.gradients.base import BilevelStep, grad_or_zeros
from nas.gradients.first_order import FirstOrder
from nas.gradients.unrolled import Unrolled
from nas.relaxations.dirichlet import Dirichlet
from nas.relaxations.gumbel import Gumbel
from nas.searches.arch_step import ArchStep
from nas.searches.gradient import GradientSearch
from nas.spaces.nas_bench_201.space import NasBench201
from nas.utils.distributed import mean_over_ranks
from tests.support.compose_tools import DATA, QUERYING, lines, script, searches, small, succeeded, tiny
from tests.support.forked_script import forked_script
from tests.support.rank_tools import spawned_ranks
from tests.support.search_tools import weight_step
from tests.support.sync_norm import SynchronizedOnCpu

EPOCHS = 3
SLOW = pytest.mark.slow


def probed(method: str, space: str, directory: Path, *more: str) -> list[list[dict[str, Any]]]:
    """Run a search on two ranks and return the records of both."""
    directory.mkdir()
    probe = ["+callbacks.probe._target_=tests.support.ddp_probe.Probe", f"+callbacks.probe.directory={directory}"]
    arguments = [*tiny(method, space), "dataset.size=128", "trainer=ddp_cpu", f"trainer.max_epochs={EPOCHS}", *probe]
    succeeded(forked_script("search", *arguments, *more, f"hydra.run.dir={directory}/run", cwd=directory))
    assert sorted(path.name for path in directory.iterdir()) == ["rank0.jsonl", "rank1.jsonl", "run"]
    return [lines(directory / f"rank{rank}.jsonl") for rank in (0, 1)]


@pytest.mark.parametrize(
    ("method", "space"),
    [
        ("gdas", "nas_bench_201"),
        ("drnas", "nas_bench_201"),
        pytest.param("gdas", "darts", marks=SLOW),
        pytest.param("gdas", "trans_nas_bench_101_micro", marks=SLOW),
        pytest.param("gdas", "nas_bench_1shot1_1", marks=SLOW),
        pytest.param("drnas", "nas_bench_1shot1_3", marks=SLOW),
        pytest.param("darts_2nd", "nas_bench_201", marks=SLOW),
        pytest.param("one_shot", "nas_bench_201", marks=SLOW),
        pytest.param("sdarts_adv", "nas_bench_201", marks=SLOW),
    ],
)
def test_distributed_search_keeps_ranks_consistent(method: str, space: str, tmp_path: Path) -> None:
    first, second = probed(method, space, tmp_path / "a")
    steps = [[line for line in rank if line["what"] != "epoch"] for rank in (first, second)]
    epochs = [[line for line in rank if line["what"] == "epoch"] for rank in (first, second)]
    assert {line["world"] for line in first} == {2}

    assert len(steps[0]) == len(steps[1]) >= 2 * EPOCHS * (1 if method == "one_shot" else 2)
    for one, other in zip(*steps, strict=True):
        same = {key for key in one if one[key] == other[key]}
        assert {"what", "epoch", "active", "sampled"} <= same and not {"batch", "loss"} & same
    if method != "darts_2nd":
        assert len({line["sampled"] for line in steps[0]}) > EPOCHS, (
            "different samples per step, so that equality of two samples is meaningful"
        )

    assert len(epochs[0]) == EPOCHS and epochs[0] == epochs[1]
    assert len({line["weights"] for line in epochs[0]}) == EPOCHS
    moved = [str(line["alphas"]) for line in epochs[0]]
    assert len(set(moved)) == (1 if method == "one_shot" else EPOCHS)
    history = lines(tmp_path / "a" / "run" / "history.jsonl")
    assert [line["epoch"] for line in history] == list(range(EPOCHS)), "one rank writes"
    for line in history if method != "darts_2nd" else ():  # which evaluates several losses per step
        for half in {"train", "arch"} & {step["what"] for step in steps[0]}:
            losses = [s["loss"] for rank in steps for s in rank if (s["what"], s["epoch"]) == (half, line["epoch"])]
            assert line[f"{half}/loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-4), "the mean of both ranks"


@pytest.mark.slow
@pytest.mark.parametrize("method", [m for m in searches() if m not in {*QUERYING, "te_nas"}])
def test_distributed_search_keeps_ranks_consistent_with_every_method(method: str, tmp_path: Path) -> None:
    """Compare parameters, masks and genotypes, including stages, projections and selections."""
    fewer = ["method.callbacks.0.steps=3", "method.callbacks.0.samples=4"] if method == "enas" else []
    first, second = probed(method, "nas_bench_201", tmp_path / "a", *fewer)
    assert {line["batch"] for line in first if "batch" in line}.isdisjoint(
        line["batch"] for line in second if "batch" in line
    )
    for one, other in zip(first, second, strict=True):
        agreed = {"what", "epoch"} | (
            {"alphas", "masks", "weights", "genotype"} if one["what"] == "epoch" else {"sampled"}
        )
        assert {key for key in agreed if one[key] != other[key]} == set(), (one, other)


@pytest.mark.slow
def test_strict_fairness_trains_the_same_paths_on_all_ranks(tmp_path: Path) -> None:
    """Each step trains each op of each edge once, on the batch of the rank, and the weights stay equal."""
    fair = "method.relaxation._target_=nas.relaxations.strict_fairness.StrictFairness"
    first, second = probed("one_shot", "nas_bench_201", tmp_path / "a", fair)
    steps = [[line for line in rank if line["what"] == "train"] for rank in (first, second)]
    assert len(steps[0]) == len(steps[1]) >= 5 * EPOCHS
    batches = set()
    for start in range(0, len(steps[0]), 5):
        one, other = (rank[start : start + 5] for rank in steps)
        assert [line["active"] for line in one] == [line["active"] for line in other]
        used = torch.tensor([line["active"]["cell"] for line in one])
        assert used.shape == (5, 6, 5) and (used.sum(dim=0) == 1).all() and (used.sum(dim=2) == 1).all()
        found = [{line["batch"] for line in rank} for rank in (one, other)]
        assert len(found[0]) == len(found[1]) == 1 and found[0] != found[1]
        batches |= found[0] | found[1]
    assert len(batches) > 2
    epochs = [[line for line in rank if line["what"] == "epoch"] for rank in (first, second)]
    assert epochs[0] == epochs[1] and len({line["weights"] for line in epochs[0]}) == EPOCHS


def searches(norm: str = "eval") -> dict[str, GradientSearch]:
    """Build searches in double precision.

    Args:
        norm: "eval": batch norm in evaluation mode, so that images are independent; "train": statistics of the batch;
            "synchronized": statistics of the batches of both ranks.
    """
    space = NasBench201((3, 8, 8), 10, channels=2, cells_per_stage=1)
    found = {}
    for name, relaxation, gradient in (
        ("first order", lambda cells: Gumbel(cells, hard=False, tau=1.0, init_std=1.0), FirstOrder()),
        ("first order, one path", lambda cells: Gumbel(cells, init_std=1.0), FirstOrder()),
        ("unrolled", lambda cells: Dirichlet(cells, init_std=1.0), Unrolled()),
        ("unrolled, exact", lambda cells: Dirichlet(cells, init_std=1.0), Unrolled(exact=True)),
    ):
        torch.manual_seed(0)
        search = GradientSearch(space, relaxation, weight_step(lr=0.5), ArchStep(gradient=gradient)).double()
        search.supernet.train(norm != "eval")
        if norm == "synchronized":
            search.supernet = SynchronizedOnCpu.convert(search.supernet)
        found[name] = search
    return found


def gradients(
    train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], reduced: bool = True, norm: str = "eval"
) -> dict[str, Tensor]:
    """Return the gradients of a weight step and of an architecture step of each search."""
    found = {}
    for name, search in searches(norm).items():
        if norm == "synchronized" and name == "unrolled, exact":
            continue
        alphas = list(search.relaxation.parameters())
        optimizer = torch.optim.SGD(search.supernet.parameters(), 0.5)
        reduce = mean_over_ranks if reduced else lambda tensors: tensors
        step = BilevelStep(search.loss, alphas, search.weights, train, val, optimizer, reduce)
        parts = search.arch_step.gradient(step)
        found[name] = torch.cat([part.detach().reshape(-1) for part in parts])
        weights = list(search.weights.values())
        parts = reduce(grad_or_zeros(search.loss(train), weights))
        found[f"{name}: weights"] = torch.cat([part.detach().reshape(-1) for part in parts])
    return found


def batches() -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(2, 8, 3, 8, 8, generator=generator, dtype=torch.float64)
    return list(zip(images, torch.randint(10, (2, 8), generator=generator), strict=True))


def halve(batch: tuple[Tensor, Tensor], rank: int) -> tuple[Tensor, Tensor]:
    return batch[0][4 * rank : 4 * rank + 4], batch[1][4 * rank : 4 * rank + 4]


def on_rank(rank: int, port: int, directory: str) -> None:
    """Run one of two processes, with its half of each batch."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    train, val = (halve(batch, rank) for batch in batches())
    found = [gradients(train, val), gradients(train, val, reduced=False), gradients(train, val, norm="synchronized")]
    torch.save(found, f"{directory}/{rank}.pt")
    dist.destroy_process_group()


def test_mean_over_ranks_gives_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    ranks = spawned_ranks(on_rank, tmp_path)
    (first, alone, synchronized), (second, _, other) = ranks
    for name, expected in gradients(*batches()).items():
        assert float(expected.norm()) > 1e-4
        assert torch.equal(first[name], second[name]), f"{name}: the ranks disagree"
        assert not torch.allclose(alone[name], expected, rtol=1e-2), f"{name}: half a batch gives the same"
        if name != "unrolled, exact":  # each rank unrolls along its own gradient, as documented
            torch.testing.assert_close(first[name], expected, rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    whole = gradients(*batches(), norm="train")
    for name, found in synchronized.items():  # in training mode, with the statistics of all images
        assert torch.equal(found, other[name]) and float(whole[name].norm()) > 1e-4
        torch.testing.assert_close(found, whole[name], rtol=1e-6, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    assert len(synchronized) == 6


def test_sweep_of_distributed_searches_is_refused(tmp_path: Path) -> None:
    arguments = ["-m", "trainer=ddp_cpu", "seed=0,1", *DATA, *small("nas_bench_201")]
    done = script("search", *arguments, cwd=tmp_path)
    assert done.returncode == 1
    output = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert len(output) == 1 and "-m" in output[0] and "one by one" in output[0], output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_distributed_job_within_a_sweep_is_refused(tmp_path: Path) -> None:
    """After a job with one process, a distributed job fails before Lightning starts any process."""
    arguments = ["-m", "trainer=cpu,ddp_cpu", "trainer.max_epochs=1", *DATA, *small("nas_bench_201")]
    done = script("search", *arguments, f"hydra.sweep.dir={tmp_path}/sweep", cwd=tmp_path)
    assert done.returncode == 1 and "one by one" in (tmp_path / "sweep" / "1" / "failure.txt").read_text()
    assert {path.parent for path in tmp_path.rglob("history.jsonl")} == {tmp_path / "sweep" / "0"}
    assert [path.name for path in tmp_path.iterdir()] == ["sweep"]
