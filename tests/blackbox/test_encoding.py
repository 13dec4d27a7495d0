"""Encoding of genotypes by uniform decisions against the distribution of the space."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from scipy import stats

from nas.blackbox.encoding import CategoricalEncoding
from tests.support.query_tools import CHAIN, CHOOSING, SmallSpace, all_genotypes


@pytest.mark.parametrize("cell", [CHAIN, CHOOSING], ids=["all_edges", "selected_edges"])
def test_encoding_has_distribution_of_space(cell: object) -> None:
    space = SmallSpace(cell)  # type: ignore[arg-type]
    encoding, rng = CategoricalEncoding(space), random.Random(0)
    counts = Counter(encoding.decode(lambda i: rng.randrange(encoding.decisions[i].size)) for _ in range(5000))
    assert set(counts) == all_genotypes(space)
    samples = Counter(space.sample(rng) for _ in range(5000))
    genotypes = sorted(counts, key=repr)
    assert stats.chi2_contingency([[c[g] for g in genotypes] for c in (counts, samples)]).pvalue > 1e-4
