"""Ensembles of trees as columns of a Parquet file: one row per node, the nodes of a tree in sequence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from nas.benchmarks.nas_bench_301.trees import Model, TreeEnsemble

ENSEMBLE, MEMBER, TREE, FEATURE, VALUE, LEFT, RIGHT = (
    *("ensemble", "member", "tree", "feature", "value", "left", "right"),
)


def to_columns(models: Sequence[Model]) -> dict[str, pa.Array]:
    """Return the nodes of the models of one ensemble; ``left`` and ``right`` count from the first node of the tree."""
    trees = [(member, tree) for member, model in enumerate(models) for tree in model.trees]
    sizes = [len(tree.feature) for _, tree in trees]
    numbers = {
        MEMBER: np.repeat(np.array([member for member, _ in trees], np.int16), sizes),
        TREE: np.repeat(np.arange(len(trees), dtype=np.int32), sizes),
        FEATURE: np.concatenate([tree.feature for _, tree in trees]).astype(np.int8),
        VALUE: np.concatenate([tree.value for _, tree in trees]),
        LEFT: np.concatenate([tree.left for _, tree in trees]),
        RIGHT: np.concatenate([tree.right for _, tree in trees]),
    }
    return {name: pa.array(values) for name, values in numbers.items()}


def from_columns(table: pa.Table, base: Sequence[float], strict: bool) -> TreeEnsemble:
    """Return the ensemble of the rows of ``to_columns``.

    Args:
        table: the rows.
        base: constant of each model.
        strict: comparison of all models (``Model``).
    """
    columns = {name: table[name].to_numpy() for name in (MEMBER, TREE, FEATURE, VALUE, LEFT, RIGHT)}
    first = np.flatnonzero(np.diff(columns[TREE], prepend=-1))
    sizes = np.diff(first, append=len(table)).astype(np.int32)
    members = columns[MEMBER][first].astype(np.int32)
    feature, value, left, right = (columns[name] for name in (FEATURE, VALUE, LEFT, RIGHT))
    return TreeEnsemble(feature, value, left, right, sizes, members, np.array(base, np.float64), strict)
