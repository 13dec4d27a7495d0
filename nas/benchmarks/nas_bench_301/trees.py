"""Ensembles of regression trees as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
LEAF = -1
"""Feature of a leaf."""


class Tree(NamedTuple):
    """Nodes of one tree, the root first and each child after its parent.

    Attributes:
        feature: feature [nodes] that is compared, LEAF for a leaf.
        value: threshold [nodes], or the value of a leaf.
        left: child [nodes] of features below the threshold; a leaf is its own child.
        right: child [nodes] of all other features; a leaf is its own child.
    """

    feature: Ints
    value: Floats
    left: Ints
    right: Ints


class Model(NamedTuple):
    """Sum of trees: one member of an ensemble.

    Attributes:
        trees: the trees.
        base: constant that is added.
        strict: True if the left child takes values below the threshold in single precision (XGBoost), False if it
            takes values up to the threshold in double precision (LightGBM).
        features: number of features.
    """

    trees: Sequence[Tree]
    base: float
    strict: bool
    features: int


def build_tree(feature: Ints, value: Floats, left: Ints, right: Ints) -> Tree:
    """Return a tree of the nodes that are reachable from node 0, in breadth-first order.

    Raises:
        ValueError: if a child is out of range or has two parents.
    """
    order = [np.zeros(1, np.int64)]
    inner = order[0][feature[:1] != LEAF]
    while inner.size:
        order.append(np.stack([left[inner], right[inner]], axis=1).ravel().astype(np.int64))
        if order[-1].min() < 0 or order[-1].max() >= len(feature) or sum(map(len, order)) > len(feature):
            raise ValueError("a tree has nodes out of range")
        inner = order[-1][feature[order[-1]] != LEAF]
    nodes = np.concatenate(order)
    if len(np.unique(nodes)) != len(nodes):
        raise ValueError("a node of a tree has two parents")
    new_features, own = feature[nodes], np.arange(len(nodes))
    is_inner = new_features != LEAF
    position = np.zeros(len(feature), np.int64)
    position[nodes] = own
    children = [np.where(is_inner, position[np.where(is_inner, side[nodes], 0)], own) for side in (left, right)]
    return Tree(new_features.astype(np.int32), value[nodes], *(side.astype(np.int32) for side in children))


class TreeEnsemble:
    """Models that predict one number each; all trees are descended at the same time.

    Args:
        feature: feature [nodes] of all trees, one after the other, LEAF for a leaf.
        value: threshold or value of a leaf [nodes].
        left: child [nodes] below the threshold, as the distance from the first node of its tree.
        right: other child [nodes], in the same form.
        sizes: number of nodes of each tree [trees].
        members: model of each tree [trees], 0 to models - 1.
        base: constant of each model [models].
        strict: comparison of all models (``Model``).
    """

    def __init__(
        self,
        feature: NDArray[np.int8],
        value: Floats,
        left: Ints,
        right: Ints,
        sizes: Ints,
        members: Ints,
        base: Floats,
        strict: bool,
    ) -> None:
        ends = np.cumsum(sizes, dtype=np.int64)
        self._roots = (ends - sizes).astype(np.int32)
        offset = np.repeat(self._roots, sizes)
        self._feature, self._left, self._right = feature, left + offset, right + offset
        self._value = value.astype(np.float32) if strict else value
        self._leaf_value = value
        self._members, self._base, self._strict = members, base, strict

    def __len__(self) -> int:
        """Return the number of models."""
        return len(self._base)

    def predict(self, features: Floats) -> Floats:
        """Return the prediction of each model [models] for the features [features]."""
        compared = features.astype(np.float32) if self._strict else features
        node = self._roots
        while True:
            number, threshold = compared[self._feature[node]], self._value[node]
            below = number < threshold if self._strict else number <= threshold
            following = np.where(below, self._left[node], self._right[node])
            if np.array_equal(following, node):
                break
            node = following
        return self._base + np.bincount(self._members, self._leaf_value[node], minlength=len(self._base))
