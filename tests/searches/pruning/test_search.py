"""Tests of TE-NAS runs: output files, resume after a kill, and refused options."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from nas.cli.build import build_data, build_search, build_space
from nas.searches.pruning.ranking import first_of_each_edge, nodes_over_limit, prune_ops, removable_ops, rounds_needed
from nas.searches.pruning.search import PruningSearch
from nas.spaces.genotype_file import load_genotype
from tests.support.compose_tools import composed, lines, succeeded
from tests.support.error_tools import run
from tests.support.forked_script import forked_script
from tests.support.query_tools import KILL, THREADS
from tests.support.resume_tools import resume

QUICK = [
    *["method=te_nas", "space=nas_bench_201", "method.repeats=1", "method.ntk_batch=3", "threads=1"],
    *["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=64", "dataset.batch_size=16", "epochs=9"],
    *["method.proxies.1.batch_size=60", "callbacks.cell_plots.every=100"],
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the run directory of a complete search."""
    directory = tmp_path_factory.mktemp("whole") / "run"
    said = succeeded(forked_script("search", *QUICK, f"hydra.run.dir={directory}", cwd=directory.parent))
    assert all(f"round {i} prunes cell" in said for i in (1, 2, 3)) and "after 3 rounds  ntk" in said
    return directory


def test_pruning_search_stops_when_decided(whole: Path) -> None:
    """Stop after three of nine allowed rounds, with one op per edge, none of them the op none."""
    history = lines(whole / "history.jsonl")
    assert [line["ops_left"] for line in history] == [18, 12, 6]
    genotype = load_genotype(whole)
    assert len(genotype.cells["cell"].links) == 6 and all(link.op != "none" for link in genotype.cells["cell"].links)
    assert json.loads((whole / "summary.json").read_text())["epochs"] == 3
    assert {"trajectory.png", "trajectory.svg", "cell.png"} <= {path.name for path in whole.iterdir()}


def test_pruning_search_resumes_bit_for_bit(whole: Path, tmp_path: Path) -> None:
    """Kill the process in the middle of the second round."""
    broken = tmp_path / "run"
    kill = KILL.format(flag=tmp_path / "flag", epoch=1, batch=0)
    first = forked_script("search", *QUICK, f"hydra.run.dir={broken}", kill, cwd=tmp_path)
    assert first.returncode == -signal.SIGKILL and (tmp_path / "flag").exists()
    resume("search", broken)
    one, other = lines(whole / "history.jsonl"), lines(broken / "history.jsonl")
    for line in (*one, *other):
        del line["seconds"]
    assert one == other
    assert load_genotype(whole) == load_genotype(broken)
    assert (whole / "trajectory.png").read_bytes() == (broken / "trajectory.png").read_bytes()


@pytest.mark.parametrize(("epochs", "left"), [(1, True), (2, False), (3, False)])
def test_pruning_search_warns_if_it_ends_undecided(epochs: int, left: bool, tmp_path: Path) -> None:
    """With one op pruned per round, DARTS' S2 needs a round of ops and a round of edges."""
    small = [
        "space=darts_s2",
        "space.channels=2",
        "space.layers=3",
        "method.proxies=[{_target_:nas.proxies.params_macs.Params}]",
    ]
    quick = [part for part in QUICK if not part.startswith(("space=", "method.proxies", "epochs="))]
    done = run("search", *quick, *small, f"epochs={epochs}", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    assert ("no proxy has selected" in done.said) == left
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == min(epochs, 2)


def test_pruning_search_accepts_any_proxies(tmp_path: Path) -> None:
    """A proxy that is never finite leaves the decision to the others, and its measurements are counted."""
    scores = (
        "[{_target_:nas.proxies.synflow.Synflow},{_target_:nas.proxies.naswot.Naswot,batch_size:8},"
        "{_target_:tests.support.tenas_tools.Endless}]"
    )
    small = [*QUICK[:-2], "space.channels=4", "space.cells_per_stage=1", f"method.proxies={scores}"]
    small.append(f"+callbacks.seen={{_target_:tests.support.tenas_tools.ImagesSeen,file:{tmp_path / 'images'}}}")
    done = run("search", *small, "callbacks.cell_plots.every=100", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    history = lines(tmp_path / "run" / "history.jsonl")
    assert history[-1]["ops_left"] == 6 and history[-1]["synflow"] > 0 and history[-1]["naswot"] > 0
    # a reference and its candidates per round, and the final supernet
    assert [line["not_finite"] for line in history] == [25, 25 + 19, 25 + 19 + 13 + 1]
    assert json.loads((tmp_path / "images").read_text()) == [64], "all training images, not the weights' half"


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["space=nas_bench_201", "dataset=cifar10"], 3),
        (["space=nas_bench_201", "dataset=imagenet16_120"], 3),
        (["space=darts", "dataset=cifar100"], 3),
        (["experiment=te_nas/darts_imagenet"], 4),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_rounds_needed_is_at_most_the_published_epochs(overrides: list[str], expected: int, tmp_path: Path) -> None:
    """Prune ops until each edge has one, then edges; the number of rounds does not depend on the choice."""
    paths = [f"paths.output={tmp_path}", f"paths.data={tmp_path}"]
    with composed("search", "method=te_nas", *overrides, *paths) as cfg:
        search = build_search(cfg.method, build_space(cfg.space, build_data(cfg)))
        assert isinstance(search, PruningSearch)
        alive, rounds = search.alive(), 0
        while group := removable_ops(alive):
            alive = prune_ops(alive, first_of_each_edge(group, range(len(group)), alive, search.prune_number))
            rounds += 1
        groups = nodes_over_limit(search.space.cells, alive)
        rounds += bool(groups)
        assert rounds_needed(search.space.cells, search.alive(), search.prune_number) == rounds
        assert rounds_needed(search.space.cells, alive, search.prune_number) == bool(groups)
        assert cfg.epochs >= rounds == expected


def test_pruning_search_warns_about_too_few_epochs(tmp_path: Path) -> None:
    arguments = [part for part in QUICK if not part.startswith("epochs=")]
    done = run("search", *arguments, "epochs=1", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    assert done.said.index("the search needs 3 more rounds, but epochs allows 1. Set epochs=3") < done.said.index(
        "round 1 prunes"
    )
    assert "ended after 1 rounds with ops or edges left to prune" in done.said


def test_pruning_search_refuses_small_images(tmp_path: Path) -> None:
    arguments = [part for part in QUICK if not part.startswith("dataset.shape")]
    done = run("search", *arguments, "dataset.shape=[3,2,8]", f"hydra.run.dir={tmp_path / 'run'}")
    done.refused("linear_regions", "3x3", "2x8")


@pytest.mark.parametrize(
    ("override", "phrase"),
    [
        ("method.init=kaiming", "paper, reference_code"),
        ("method.repeats=0", "repeats=0"),
        ("method.prune_number=0", "method.prune_number=0: use a whole number from 1"),
        ("method.proxies=[naswot]", "elements: keys with _target_"),
        ("method.stale_reference=[ntkk]", "unknown method.stale_reference 'ntkk': did you mean 'ntk'?"),
        ("method.ntk_batch=1", "batch_size=1: proxy=ntk needs at least 2 images"),
        ("method.images=half", "unknown method.images 'half'"),
        ("method.tie_order=[skip]", "unknown method.tie_order 'skip'"),
        ("method.tie_order=[none,none]", "an op occurs twice"),
        ("method.proxies.1.chunk=0", "chunk=0"),
        ("method.proxies.1.batch_size=0", "method.proxies.1.batch_size=0: use a whole number from 1"),
    ],
)
def test_pruning_search_refuses_bad_options(tmp_path: Path, override: str, phrase: str) -> None:
    run("search", *QUICK, override, f"hydra.run.dir={tmp_path / 'run'}").refused(phrase)


def test_pruning_search_in_workers_equals_one_in_this_process(whole: Path, tmp_path: Path) -> None:
    """Scores, pruned ops and the number of values that are not finite."""
    run("search", *QUICK, *THREADS, f"hydra.run.dir={tmp_path / 'run'}").succeeded()
    one, other = lines(whole / "history.jsonl"), lines(tmp_path / "run" / "history.jsonl")
    for line in (*one, *other):
        del line["seconds"]
    assert one == other and load_genotype(whole) == load_genotype(tmp_path / "run")
