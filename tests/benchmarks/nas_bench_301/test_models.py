"""Readers of tree models, against the predictions of the libraries that wrote them and by hand."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from nas.benchmarks.convert import convert
from nas.benchmarks.nas_bench_301.encoding import NAMES
from nas.benchmarks.nas_bench_301.lightgbm_model import read_lightgbm
from nas.benchmarks.nas_bench_301.parquet import from_columns, to_columns
from nas.benchmarks.nas_bench_301.trees import LEAF, Model, build_tree
from nas.benchmarks.nas_bench_301.xgboost_model import read_xgboost
from nas.cli.commands.convert import main
from nas.utils.errors import NasError
from tests.support.nas_bench_301_tools import MODELS
from tests.support.nats_tools import CallOnLoad

BY_HAND = {
    "learner": {
        "learner_model_param": {"base_score": "[5E-1]", "num_class": "0", "num_feature": "56"},
        "objective": {"name": "reg:squarederror"},
        "gradient_booster": {
            "name": "gbtree",
            "model": {
                "trees": [
                    {
                        "left_children": [1, -1, 3, -1, -1],
                        "right_children": [2, -1, 4, -1, -1],
                        "split_indices": [3, 0, 55, 0, 0],
                        "split_conditions": [0.1, 10.0, 2.0, 20.0, 30.0],
                        "categories": [],
                    },
                    {"left_children": [-1], "right_children": [-1], "split_indices": [0], "split_conditions": [1.0]},
                ]
            },
        },
    }
}
TEXT = """tree
version=v3
num_tree_per_iteration=1
max_feature_idx=55
objective=regression

Tree=0
num_leaves=3
num_cat=0
split_feature=3 55
threshold=0.1 2
decision_type=2 2
left_child=-1 -2
right_child=1 -3
leaf_value=10 20 30
shrinkage=1


Tree=1
num_leaves=1
num_cat=0
leaf_value=1


end of trees
"""


def predict(model: Model, at: dict[int, float]) -> float:
    """Return the prediction for features that are zero except ``at``."""
    table = pa.table(to_columns([model]))
    features = np.zeros(56)
    features[list(at)] = list(at.values())
    return float(from_columns(table, [model.base], model.strict).predict(features)[0])


@pytest.mark.parametrize(
    ("at", "expected"), [({3: 0.0}, 10), ({3: 0.2}, 20), ({3: 0.2, 55: 1.99}, 20), ({3: 0.2, 55: 2.5}, 30)]
)
def test_models_equal_trees_worked_out_by_hand(at: dict[int, float], expected: float) -> None:
    assert predict(read_xgboost(json.dumps(BY_HAND).encode()), at) == expected + 1.5
    assert predict(read_xgboost(json.dumps({"Model": BY_HAND, "Config": {}}).encode()), at) == expected + 1.5
    assert predict(read_lightgbm(TEXT), at) == expected + 1
    assert predict(read_lightgbm(TEXT, trees=1), at) == expected


def test_models_differ_at_the_threshold() -> None:
    """XGBoost compares single precision with <, LightGBM double precision with <=."""
    assert predict(read_xgboost(json.dumps(BY_HAND).encode()), {3: 0.2, 55: 2.0}) == 31.5
    assert predict(read_lightgbm(TEXT), {3: 0.2, 55: 2.0}) == 21
    assert predict(read_xgboost(json.dumps(BY_HAND).encode()), {3: 0.1 - 1e-12}) == 21.5
    assert predict(read_lightgbm(TEXT), {3: 0.1 + 1e-12}) == 21


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda c: c["learner"]["objective"].update(name="multi:softmax"), "objective multi:softmax"),
        (lambda c: c["learner"]["gradient_booster"]["model"]["trees"][0].update(categories=[1]), "categories"),
        (lambda c: c["learner"]["gradient_booster"]["model"]["trees"][0].update(split_indices=[99] * 5), "feature 99"),
        (lambda c: c["learner"]["gradient_booster"]["model"]["trees"][0].update(left_children=[0] * 5), "out of range"),
        (lambda c: c["learner"]["gradient_booster"]["model"]["trees"][0].update(left_children=[9] * 5), "out of range"),
    ],
    ids=["objective", "categories", "features", "circle", "child"],
)
def test_read_xgboost_refuses_other_models(change: Callable[[dict[str, object]], None], problem: str) -> None:
    content = json.loads(json.dumps(BY_HAND))
    change(content)
    with pytest.raises(ValueError, match=problem):
        read_xgboost(json.dumps(content).encode())


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("objective=regression", "objective=binary", "not a regression model"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=3", "several outputs"),
        ("max_feature_idx=55", "max_feature_idx=55\naverage_output", "random forest"),
        ("decision_type=2 2", "decision_type=1 2", "categories"),
        ("decision_type=2 2", "decision_type=6 2", "zero as missing"),
        ("split_feature=3 55", "split_feature=3 56", "other features"),
    ],
)
def test_read_lightgbm_refuses_other_models(old: str, new: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_lightgbm(TEXT.replace(old, new))


def test_build_tree_drops_deleted_nodes_and_sorts_children_after_parents() -> None:
    feature = np.array([5, LEAF, LEAF, LEAF, 7, LEAF], np.int32)
    left, right = np.array([4, 1, 2, 3, 2, 5], np.int32), np.array([1, 1, 2, 3, 5, 5], np.int32)
    tree = build_tree(feature, np.array([0.5, 1, 2, 99, 0.7, 3]), left, right)
    assert tree.feature.tolist() == [5, 7, LEAF, LEAF, LEAF] and tree.value.tolist() == [0.5, 0.7, 1, 2, 3]
    assert tree.left.tolist() == [1, 3, 2, 3, 4] and tree.right.tolist() == [2, 4, 2, 3, 4]


def copied(directory: Path) -> tuple[Path, Path]:
    """Copy the models; return the directory and the file of one booster of XGBoost."""
    models = shutil.copytree(MODELS, directory / "nb_models")
    return models, models / "xgb_v1.0" / "ensemble_member_1" / "surrogate_model.model"


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    if kind == "code":
        content = pickle.dumps(CallOnLoad(os.system, "touch hacked"))
    elif kind == "other":
        content = pickle.dumps({"handle": b"binf"})
    elif kind == "cut":
        content = content[: len(content) // 2]
    elif kind == "trees":
        place = content.index(b"gbtree", content.index(b"CONFIG-offset:")) + 6
        content = content[:place] + struct.pack("<i", 2**30) + content[place + 4 :]
    elif kind == "config":
        path.with_name("model_config.json").write_text('{"param:bananas_enc": true}')
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("code", "refers to posix.system, which no benchmark needs. Refused; no code was run"),
        ("other", "not a booster of XGBoost or LightGBM"),
        ("cut", "is damaged or of another format"),
        ("trees", "a model of 1073741824 trees"),
        ("config", "models of the path encoding"),
    ],
)
def test_convert_refuses_damaged_and_forged_models(
    kind: str, problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    models, path = copied(tmp_path)
    damage(path, kind)
    monkeypatch.chdir(tmp_path)
    assert main([str(models), str(tmp_path / "out.parquet")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and str(path.parent) in line and problem in line
    assert not (tmp_path / "out.parquet").exists() and not (tmp_path / "hacked").exists()


def test_convert_refuses_models_of_other_features_and_several_versions(tmp_path: Path) -> None:
    models, path = copied(tmp_path)
    path.unlink()
    few = json.loads(json.dumps(BY_HAND))
    few["learner"]["learner_model_param"]["num_feature"] = "57"
    path.with_suffix(".json").write_text(json.dumps(few))
    with pytest.raises(NasError, match=f"57 features. Those of NAS-Bench-301 have {len(NAMES)}"):
        convert(models, tmp_path / "out.parquet")
    path.with_suffix(".json").write_text(json.dumps(BY_HAND))
    assert "2 models" in convert(models, tmp_path / "out.parquet")
    (models / "xgb_v0.9").mkdir()
    with pytest.raises(NasError, match="has xgb_v0.9 and xgb_v1.0. Keep one of them"):
        convert(models, tmp_path / "other.parquet")
    with pytest.raises(NasError, match=r"xgb_v0.9 has no surrogate_model.model"):
        convert(models / "xgb_v0.9", tmp_path / "other.parquet")
