"""nas.cli.overrides.run_record: what an own run may have, and what no run may set."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.cli.overrides.conf_dir import CONF
from nas.cli.overrides.run_record import check_choice, check_overrides
from nas.cli.overrides.search_path import search_path, searchpath_overrides
from nas.utils.errors import NasError

FILE = Path("RUN/.hydra/overrides.yaml")
OWN = (
    "method=gdas",
    "experiment=gdas/darts",
    "+hparams_search=darts_lr",
    "logger=[csv,tensorboard]",
    "+trainer.max_steps=5",
    "~callbacks.cell_plots",
    "~logger",
    "logger=null",
    "++dataset.root='/data/a b'",
    "epochs=2",
    "dataset.shape=[3,8,8]",
    "evaluator.network={channels:8}",
    "method.proxies=[${proxy}]",
    "run_name='${method.name}-${seed}'",
    "method.weight_step.optimizer.lr=1e-3",
    "+method.callbacks.0.shape=cosine",
    "genotype='|nor_conv_3x3~0|+|none~0|none~1|+|none~0|none~1|none~2|'",
    "run_name=",
    "dataset.root='a\\\\'",
)


def test_check_overrides_accepts_those_of_an_own_run() -> None:
    check_overrides(OWN, FILE, [CONF])


@pytest.mark.parametrize(
    "line",
    ["a.b={c:[{_target_:x}]}", "a={'b':1}", "_target_=x", "a._convert_=all", "a/b@c._x_=gdas", "hydra=default",
     "a.b=[${x:y}]", "a={b:'${oc.env:X}'}", "method=../gdas", "method=gdas/../darts", "method=/gdas", "method=${seed}",
     "experiment=", "+method@x=gdass", "a=sort(1,2)", "a=b c='d", "\x1b", "@x=gdas"],
)  # fmt: skip
def test_check_overrides_names_the_file(line: str) -> None:
    with pytest.raises(NasError, match=str(FILE)) as caught:
        check_overrides([line], FILE, [CONF])
    assert len(str(caught.value)) < 500


def test_check_overrides_bounds_references() -> None:
    """A chain of doubled references would need 2 ** 40 characters."""
    chain = [f"+a{k}='${{a{k + 1}}}${{a{k + 1}}}'" for k in range(40)]
    with pytest.raises(NasError, match="more than 16 references"):
        check_overrides(chain, FILE, [CONF])


def test_search_path_has_the_user_s_directories(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name / "dataset").mkdir(parents=True)
        (tmp_path / name / "dataset" / f"{name}.yaml").touch()
    arguments = [f"hydra.searchpath=['file://{tmp_path}/second',pkg://nas.zoo]"]
    path = search_path(str(tmp_path / "first"), arguments)
    assert path[:3] == [CONF, tmp_path / "first", tmp_path / "second"] and path[3].name == "zoo"
    for choice in ("digits", "first", "second", "second.yaml"):
        check_choice("dataset", choice, FILE, path)
    for choice in ("first", "../dataset/digits", "default", 3, None, ["digits"], ""):
        with pytest.raises(NasError, match="is not a choice of your configuration"):
            check_choice("dataset", choice, FILE, [CONF])
    assert searchpath_overrides(path[:2]) == [f"hydra.searchpath=['file://{tmp_path}/first']"]
    assert searchpath_overrides([CONF]) == []
