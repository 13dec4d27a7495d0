"""Reader of XGBoost models without XGBoost: the binary format of versions 0.9 to 1.2, and JSON of later versions.

The binary format is a sequence of C structures: the parameters of the learner, the names of objective and booster, the
parameters of the trees, then for each tree its parameters, nodes and statistics.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np

from nas.benchmarks.nas_bench_301.trees import LEAF, Model, Tree, build_tree

SNAPSHOT, BINARY, JSON = b"CONFIG-offset:", b"binf", b"{"
OBJECTIVES = ("reg:squarederror", "reg:linear")
_LEARNER, _TREES, _TREE = struct.Struct("<fIiiiII27i"), struct.Struct("<iiiiqii32i"), struct.Struct("<iiiiii31i")
_LENGTH = struct.Struct("<Q")
_NODE = np.dtype([("parent", "<i4"), ("left", "<i4"), ("right", "<i4"), ("split", "<u4"), ("value", "<f4")])
_STATISTICS_BYTES = 16
_FEATURE_BITS = np.uint32(2**31 - 1)
"""The highest bit of a split selects the child of missing features."""
MAX_TREES = 100_000


def read_xgboost(content: bytes) -> Model:
    """Return the model of a pickled booster's ``handle``, or of a file of ``Booster.save_model``.

    Raises:
        ValueError: if the content is not a regression model of trees in a supported format.
    """
    if content.startswith(SNAPSHOT):
        (size,) = _LENGTH.unpack_from(content, len(SNAPSHOT))
        start = len(SNAPSHOT) + _LENGTH.size
        return _read_binary(content[start : start + size])
    if content.startswith(JSON):
        try:
            return _read_json(json.loads(content))
        except UnicodeDecodeError:
            raise ValueError(
                "the model is stored as UBJSON. Save it with booster.save_model('surrogate_model.json')"
            ) from None
    return _read_binary(content)


class _Reader:
    """Reader of structures and arrays in sequence."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._position = 4 if content.startswith(BINARY) else 0

    def structure(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self.bytes(layout.size))

    def text(self) -> str:
        return self.bytes(self.structure(_LENGTH)[0]).decode()

    def bytes(self, count: int) -> bytes:
        content = self._content[self._position : self._position + count]
        if len(content) != count:
            raise ValueError("the model is cut off")
        self._position += count
        return content


def _read_binary(content: bytes) -> Model:
    reader = _Reader(content)
    base, features, classes, *_ = reader.structure(_LEARNER)
    _check(reader.text(), reader.text(), classes)
    trees, *_ = reader.structure(_TREES)
    if not 0 <= trees <= MAX_TREES:
        raise ValueError(f"a model of {trees} trees")
    return Model([_read_tree(reader, features) for _ in range(trees)], base, True, features)


def _read_tree(reader: _Reader, features: int) -> Tree:
    roots, nodes, _, _, _, vector, *_ = reader.structure(_TREE)
    if roots != 1 or nodes < 1 or vector:
        raise ValueError("a tree with several roots or outputs")
    table = np.frombuffer(reader.bytes(nodes * _NODE.itemsize), _NODE)
    reader.bytes(nodes * _STATISTICS_BYTES)
    split = (table["split"] & _FEATURE_BITS).astype(np.int64)
    feature = np.where(table["left"] < 0, LEAF, split)
    if feature.max() >= features:
        raise ValueError(f"a tree compares feature {feature.max()} of {features}")
    return build_tree(feature.astype(np.int32), table["value"].astype(np.float64), table["left"], table["right"])


def _read_json(content: Mapping[str, Any]) -> Model:
    learner = content.get("Model", content)["learner"]
    parameters, booster = learner["learner_model_param"], learner["gradient_booster"]
    _check(learner["objective"]["name"], booster["name"], int(parameters["num_class"]))
    features = int(parameters["num_feature"])
    trees = [_json_tree(tree, features) for tree in booster["model"]["trees"]]
    return Model(trees, float(str(parameters["base_score"]).strip("[]")), True, features)


def _json_tree(tree: Mapping[str, Any], features: int) -> Tree:
    if tree.get("categories"):
        raise ValueError("a tree splits by categories")
    left, right = (np.array(tree[key], np.int32) for key in ("left_children", "right_children"))
    feature = np.where(left < 0, LEAF, np.array(tree["split_indices"], np.int32))
    if feature.max() >= features:
        raise ValueError(f"a tree compares feature {feature.max()} of {features}")
    value = np.array(tree["split_conditions"], np.float32).astype(np.float64)
    return build_tree(feature.astype(np.int32), value, left, right)


def _check(objective: str, booster: str, classes: int) -> None:
    if objective not in OBJECTIVES or booster != "gbtree" or classes > 1:
        raise ValueError(f"a model with objective {objective} and booster {booster}, not a regression by trees")
