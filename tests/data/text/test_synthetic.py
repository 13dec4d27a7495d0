"""nas.data.text.synthetic: a Markov chain with four successors per word."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch

from nas.data.text.synthetic import PROBABILITIES, SyntheticText


def test_each_word_has_four_successors_with_fixed_probabilities() -> None:
    corpus = SyntheticText(words=20, size=40_000, seed=3).corpus
    counts: dict[int, Counter[int]] = {}
    for word, following in zip(corpus.train.tolist(), corpus.train.tolist()[1:], strict=False):
        counts.setdefault(word, Counter())[following] += 1
    assert len(corpus.vocabulary) == 20 and all(len(found) == 4 for found in counts.values())
    total = sum(sum(found.values()) for found in counts.values())
    ranked = [sum(found.most_common()[rank][1] for found in counts.values()) / total for rank in range(4)]
    assert ranked == pytest.approx(PROBABILITIES, abs=0.01)
    for part in (corpus.valid, corpus.test):
        pairs = zip(part.tolist(), part.tolist()[1:], strict=False)
        assert all(following in counts[word] for word, following in pairs), "the same chain in all parts"


def test_text_is_a_function_of_the_seed() -> None:
    first, same, other = (SyntheticText(size=500, seed=seed).corpus.train for seed in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)


def test_documented_perplexity_is_that_of_the_chain() -> None:
    entropy = -sum(p * math.log(p) for p in PROBABILITIES)
    assert (entropy, math.exp(entropy)) == (pytest.approx(1.208, abs=5e-4), pytest.approx(3.35, abs=5e-3))
    assert SyntheticText.__doc__ is not None and "3.35" in SyntheticText.__doc__
