"""Command lines on models with choices: searches, training, evaluation, export, resume, pictures."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest
import torch

import nas
import nas.choices
from nas.cli.commands.plot import main as plot
from nas.spaces.genotype_file import encode_genotype, load_genotype
from tests.support.choice_models import Net
from tests.support.choice_tools import NET
from tests.support.compose_tools import lines
from tests.support.error_tools import TINY, run, unfinished

MODEL = ("space=choices", f"space.model={NET}")
SMALL = (*TINY, *MODEL, "epochs=1", "dataset.size=32")
SEARCHES = {
    "drnas": (),
    "one_shot": ("method.callbacks.0.samples=2", "method.callbacks.0.final=3"),
    "regularized_evolution": ("proxy=naswot", "method.budget.queries=5", "method.strategy.population=3"),
    "snas": ("method.arch_step.resource.kind=macs", "method.arch_step.resource.strength=1.0"),
    "fair_darts": ("method.discretization.threshold=0.4",),
    "random_search": ("evaluator=training", "evaluator.epochs=1", "method.budget.queries=2"),
    "setn": ("method.callbacks.0.samples=2", "method.callbacks.0.final=3"),
    "dsnas": (),
    "darts_2nd": (),
    "sdarts_rs": (),
    "rsps": ("method.callbacks.0.samples=2", "method.callbacks.0.final=3"),
}
QUICK = ("drnas", "one_shot", "regularized_evolution", "snas")


def genotype_of(directory: Path) -> str:
    return str(json.loads((directory / "genotype.json").read_text())["native"])


def test_model_is_searched_trained_evaluated_exported_and_resumed(tmp_path: Path) -> None:
    found, trained = tmp_path / "found", tmp_path / "trained"
    searched = run("search", *SMALL, "method=gdas", "space.options={width: 6}", f"hydra.run.dir={found}")
    searched.succeeded()
    assert f"space=choices space.model={NET}" in searched.said and (found / "cell.png").is_file()
    given = json.loads((found / "genotype.json").read_text())
    assert given["native"].startswith("choices:stem:")
    assert given["own_parts"]["choices"]["target"] == NET.replace(":", ".")
    options = (*TINY, *MODEL, "space.options={width: 6}")
    query = ("method=random_search", "method.budget.queries=2", "evaluator=supernet", f"hydra.run.dir={tmp_path}/q")
    run("search", *options, *query, f"evaluator.supernet_dir={found}").succeeded()
    run("train", *options, "epochs=1", f"genotype={found}", f"hydra.run.dir={trained}").succeeded()
    weights = f"weights={trained}"
    run("train", "mode=eval", *options, weights, "evaluation.runs=1", f"hydra.run.dir={tmp_path}/e").succeeded()
    exported = ("mode=export", "export.format=torch_export", f"hydra.run.dir={tmp_path}/x")
    run("train", *options, *exported, weights).succeeded()
    assert (tmp_path / "x" / "model.pt2").is_file()
    assert plot([str(found), "--output", str(tmp_path / "cell.svg")]) == 0
    assert "blocks_0_inner" in (tmp_path / "cell.svg").read_text() or (tmp_path / "cell.svg").stat().st_size > 5000

    loaded = nas.load(trained, own_parts=[nas.choices.own_part(Net, width=6)])
    assert type(loaded.network.model) is Net  # type: ignore[comparison-overlap]
    text = json.loads((trained / "summary.json").read_text())
    assert text["parameters"] == sum(p.numel() for p in loaded.parameters())
    assert loaded(torch.zeros(2, 3, 8, 8)).shape == (2, 10)

    run("train", *TINY, f"genotype={found}", f"hydra.run.dir={tmp_path}/no").refused(
        f"its parts are those of the model {NET.replace(':', '.')}. Add space=choices space.model=PACKAGE.MODULE:NAME"
    )
    other = ("space.model=tests.support.choice_cells:Net201", f"genotype={found}", f"hydra.run.dir={tmp_path}/other")
    run("train", *TINY, "space=choices", *other).refused("does not fit space=choices")
    resumed = unfinished(found, tmp_path / "resumed")
    run("search", f"ckpt_path={resumed}").refused("space.model=", "a run does not name code to import")
    run("search", f"ckpt_path={resumed}", f"space.model={NET}").succeeded()
    assert json.loads((resumed / "summary.json").read_text())["epochs"] == 2


@pytest.mark.parametrize("method", [pytest.param(m, marks=() if m in QUICK else pytest.mark.slow) for m in SEARCHES])
def test_methods_search_models(method: str, tmp_path: Path) -> None:
    given = (f"method={method}", *SEARCHES[method], "~callbacks.cell_plots", f"hydra.run.dir={tmp_path}")
    run("search", *SMALL, *given).succeeded()
    summary, genotype = json.loads((tmp_path / "summary.json").read_text()), load_genotype(tmp_path)
    space = nas.choices.space(Net, (3, 8, 8), 10)
    space.check(genotype)
    assert summary["genotype"] == space.native(genotype) == genotype_of(tmp_path) and summary["macs"] > 0
    (line,) = lines(tmp_path / "history.jsonl")
    assert line["genotype"] == summary["genotype"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("method=pc_darts",), f"the options of space.model={NET} are modules of their own"),
        (("method=darts", "space.model=null"), "space.model is missing"),
        (("method=darts", "space.options={depth: 3}"), "unexpected keyword argument 'depth'"),
        (("method=te_nas",), "method=te_nas need thin networks of cells"),
        (("method=p_darts",), "method.edge=DroppedSkip: the options of"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], expected: str, tmp_path: Path) -> None:
    run("search", *SMALL, *arguments, f"hydra.run.dir={tmp_path}/run").refused(expected)


def test_genotype_files_import_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A genotype whose record names a module that would fail on import is read, and refused by name."""
    space = nas.choices.space(Net, (3, 8, 8), 10)
    text = space.native(space.sample(random.Random(0)))
    value = encode_genotype(space.parse(text))
    value["own_parts"] = {"choices": {"target": "my_bomb.Net", "package": "my_bomb"}}
    (tmp_path / "my_bomb.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "genotype.json").write_text(json.dumps(value))
    assert load_genotype(tmp_path) == space.parse(text)
    run("train", *TINY, f"genotype={tmp_path}", f"hydra.run.dir={tmp_path}/no").refused("the model my_bomb.Net")
    assert re.fullmatch(r"choices:[\w:/@+-]+", text)
