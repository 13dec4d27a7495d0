"""Reader of LightGBM's text format without LightGBM."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nas.benchmarks.nas_bench_301.trees import LEAF, Model, Tree, build_tree

CATEGORICAL, MISSING_IS_ZERO, MISSING_BITS = 1, 4, 12
"""Bits of a decision type: a split by categories, and the treatment of missing features."""


def read_lightgbm(text: str, trees: int | None = None) -> Model:
    """Return the model of ``Booster.model_to_string()``.

    Args:
        text: the model.
        trees: number of trees that predict: the best iteration of an early stopping. None: all.

    Raises:
        ValueError: if the text is not a regression model of numerical splits.
    """
    header, *blocks = text.split("\nTree=")
    fields = _fields(header)
    if header.split("\n", 1)[0] != "tree" or not fields.get("objective", "").startswith("regression"):
        raise ValueError("not a regression model of LightGBM")
    if fields.get("num_tree_per_iteration") != "1" or "average_output" in header.split("\n"):
        raise ValueError("a model of LightGBM with several outputs, or a random forest")
    features = int(fields["max_feature_idx"]) + 1
    kept = blocks if trees is None else blocks[:trees]
    return Model([_tree(_fields(block.split("\n\n", 1)[0]), features) for block in kept], 0.0, False, features)


def _fields(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


def _tree(fields: Mapping[str, str], features: int) -> Tree:
    leaves, values = int(fields["num_leaves"]), np.array(fields["leaf_value"].split(), np.float64)
    inner, own = leaves - 1, np.arange(2 * leaves - 1, dtype=np.int32)
    if len(values) != leaves or fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
        raise ValueError("a tree with categories, linear leaves or a wrong number of leaves")
    if not inner:
        return build_tree(np.array([LEAF], np.int32), values, own, own)
    split = np.array(fields["split_feature"].split(), np.int32)
    kinds = np.array(fields["decision_type"].split(), np.int32)
    if len(split) != inner or not 0 <= split.min() <= split.max() < features:
        raise ValueError("a tree with a wrong number of splits, or of other features")
    if (kinds & CATEGORICAL).any() or (kinds & MISSING_BITS == MISSING_IS_ZERO).any():
        raise ValueError("a tree splits by categories, or treats zero as missing")
    left, right = own.copy(), own.copy()
    for side, key in ((left, "left_child"), (right, "right_child")):
        child = np.array(fields[key].split(), np.int32)
        side[:inner] = np.where(child < 0, inner + ~child, child)  # a leaf is the complement of its number
    feature = np.concatenate([split, np.full(leaves, LEAF, np.int32)])
    value = np.concatenate([np.array(fields["threshold"].split(), np.float64), values])
    return build_tree(feature, value, left, right)
