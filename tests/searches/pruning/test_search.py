"""TE-NAS as a user runs it: what it leaves behind, how it goes on after a kill, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.cli.build import build_data, build_search, build_space
from nas.searches.pruning.ranking import crowded, first_of_edges, removable, rounds_left, without
from nas.searches.pruning.search import PruningSearch
from nas.spaces.genotype_file import load_genotype
from tests.support.compose_tools import choices, composed, lines, script, succeeded
from tests.support.error_tools import run

QUICK = [
    *["method=te_nas", "space=nas_bench_201", "method.repeats=1", "method.ntk_batch=3", "threads=1"],
    *["dataset=synthetic", "dataset.shape=[3,8,8]", "dataset.size=64", "dataset.batch_size=16", "epochs=9"],
    *["method.proxies.1.batch_size=60", "callbacks.pictures.every=100"],
]


def kill(flag: Path, epoch: int, batch: int) -> str:
    return f"+callbacks.kill={{_target_:tests.support.compose_tools.KillOnce,flag:{flag},epoch:{epoch},batch:{batch}}}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a search that ran to its end."""
    folder = tmp_path_factory.mktemp("whole")
    said = succeeded(script("search", *QUICK, "hydra.run.dir=run", cwd=folder))
    assert all(f"round {i} prunes cell" in said for i in (1, 2, 3)) and "after 3 rounds  ntk" in said
    return folder / "run"


def test_a_search_ends_by_itself(whole: Path) -> None:
    """After three rounds, though nine were allowed: one op is left on each edge, and none of them is none."""
    history = lines(whole / "history.jsonl")
    assert [line["ops_left"] for line in history] == [18, 12, 6]
    genotype = load_genotype(whole)
    assert len(genotype.cells["cell"].links) == 6 and all(link.op != "none" for link in genotype.cells["cell"].links)
    assert json.loads((whole / "summary.json").read_text())["epochs"] == 3
    assert {"trajectory.png", "trajectory.svg", "cell.png"} <= {path.name for path in whole.iterdir()}


def test_a_killed_search_goes_on_bit_for_bit(whole: Path, tmp_path: Path) -> None:
    """In the middle of the second round."""
    env = {"PYTHONPATH": str(Path(__file__).parents[3])}
    first = script("search", *QUICK, "hydra.run.dir=run", kill(tmp_path / "flag", 1, 0), cwd=tmp_path, env=env)
    assert first.returncode != 0 and (tmp_path / "flag").exists()
    succeeded(script("search", "ckpt_path=run", cwd=tmp_path, env=env))
    one, other = lines(whole / "history.jsonl"), lines(tmp_path / "run" / "history.jsonl")
    for line in (*one, *other):
        del line["seconds"]
    assert one == other
    assert load_genotype(whole) == load_genotype(tmp_path / "run")
    assert (whole / "trajectory.png").read_bytes() == (tmp_path / "run" / "trajectory.png").read_bytes()


@pytest.mark.parametrize(("epochs", "left"), [(1, True), (2, False), (3, False)])
def test_a_search_that_ends_too_early_says_so(epochs: int, left: bool, tmp_path: Path) -> None:
    """With one op an edge and round, DARTS' S2 has a round of ops and one of edges; one more changes nothing."""
    small = [
        "space=darts_s2",
        "space.channels=2",
        "space.layers=3",
        "method.proxies=[{_target_:nas.proxies.params_macs.Params}]",
    ]
    quick = [part for part in QUICK if not part.startswith(("space=", "method.proxies", "epochs="))]
    done = run("search", *quick, *small, f"epochs={epochs}", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    assert ("no score has chosen" in done.said) == left
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["epochs"] == min(epochs, 2)


def test_any_score_can_prune(tmp_path: Path) -> None:
    """One that is never finite says nothing of the others' candidates, and each of its measurements is counted."""
    scores = (
        "[{_target_:nas.proxies.synflow.Synflow},{_target_:nas.proxies.naswot.Naswot,batch_size:8},"
        "{_target_:tests.support.tenas_tools.Endless}]"
    )
    small = [*QUICK[:-2], "space.channels=4", "space.cells_per_stage=1", f"method.proxies={scores}"]
    done = run("search", *small, "callbacks.pictures.every=100", f"hydra.run.dir={tmp_path / 'run'}")
    done.succeeded()
    history = lines(tmp_path / "run" / "history.jsonl")
    assert history[-1]["ops_left"] == 6 and history[-1]["synflow"] > 0 and history[-1]["naswot"] > 0
    # a reference and its candidates in each round, and at last what is left
    assert [line["not_finite"] for line in history] == [25, 25 + 19, 25 + 19 + 13 + 1]


@pytest.mark.parametrize("name", [name for name in choices("experiment") if name.startswith("te_nas")])
def test_published_protocols_have_as_many_epochs_as_rounds(name: str, tmp_path: Path) -> None:
    """Whatever is pruned: ops until one is left on each edge, then edges."""
    with composed("search", f"experiment={name}", f"paths.output={tmp_path}", f"paths.data={tmp_path}") as cfg:
        search = build_search(cfg.method, build_space(cfg.space, build_data(cfg)))
        assert isinstance(search, PruningSearch)
        alive, rounds = search.alive(), 0
        while group := removable(alive):
            alive = without(alive, first_of_edges(group, range(len(group)), alive, search.prune_number))
            rounds += 1
        rounds += bool(crowded(search.space.cells, alive))
        assert rounds_left(search.space.cells, search.alive(), search.prune_number) == rounds
        assert rounds_left(search.space.cells, alive, search.prune_number) == bool(crowded(search.space.cells, alive))
        assert cfg.epochs >= rounds == {"imagenet": 4}.get(name.rpartition("_")[2], 3)


def test_too_few_rounds_are_told_at_the_start_and_at_the_end(tmp_path: Path) -> None:
    arguments = [part for part in QUICK if not part.startswith("epochs=")]
    done = script("search", *arguments, "epochs=1", "hydra.run.dir=run", cwd=tmp_path)
    said = succeeded(done) + done.stderr
    assert said.index("3 rounds are left, of which epochs allow 1: epochs=3 is enough") < said.index("round 1 prunes")
    assert "ended after 1 rounds with ops or edges left to prune" in said


def test_small_images_are_refused(tmp_path: Path) -> None:
    arguments = [part for part in QUICK if not part.startswith("dataset.shape")]
    done = run("search", *arguments, "dataset.shape=[3,2,8]", f"hydra.run.dir={tmp_path / 'run'}")
    done.refused("te_nas", "3x3", "2x8")


@pytest.mark.parametrize(
    ("override", "phrase"),
    [
        ("method.init=kaiming", "paper, reference_code"),
        ("method.repeats=0", "repeats=0"),
        ("method.prune_number=0", "at least 1"),
        ("method.proxies=[naswot]", "naswot is no score"),
        ("method.stale=[ntkk]", "unknown method.stale 'ntkk': did you mean 'ntk'? choose from linear_regions, ntk"),
        ("method.ntk_batch=1", "ntk of a batch of 1: it is defined on at least 2 images"),
        ("method.proxies.1.chunk=0", "chunk=0"),
        ("method.proxies.1.batch_size=0", "linear_regions of a batch of 0"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, override: str, phrase: str) -> None:
    run("search", *QUICK, override, f"hydra.run.dir={tmp_path / 'run'}").refused(phrase)
