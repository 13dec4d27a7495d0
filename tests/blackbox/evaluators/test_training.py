"""Evaluation by short trainings: determinism, fidelities, refused options."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch

from nas.blackbox.evaluators.training import ShortTraining
from nas.data.synthetic import Synthetic
from nas.utils.errors import NasError
from tests.support.query_tools import SMALL_NETWORK, SMALL_SPACE, small_images


def short_training(data: Synthetic, **options: Any) -> ShortTraining:
    sgd = partial(torch.optim.SGD, lr=0.05, momentum=0.9)
    return ShortTraining(SMALL_SPACE, data, sgd, network=SMALL_NETWORK, **options)


def test_short_training_depends_on_genotype_and_seed_alone() -> None:
    good = SMALL_SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )
    disconnected = SMALL_SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    easy: dict[str, Any] = {"size": 320, "noise": 0.2}
    first = short_training(small_images(**easy), epochs=3)
    state = torch.get_rng_state()
    values = [first(genotype).value for genotype in (good, disconnected, good)]
    size = SMALL_SPACE.describe_size(**SMALL_NETWORK)
    assert first.describe_value(None) == f"validation accuracy after a short training (%) of the network with {size}"
    assert values[0] == values[2] and torch.equal(state, torch.get_rng_state())
    torch.manual_seed(99)
    assert short_training(small_images(**easy), epochs=3)(good).value == values[0]
    assert values[0] > 60 > 35 > values[1], "a network without a path to its input guesses among 10 classes"
    assert short_training(small_images(**easy), epochs=1)(good).seconds < first(good).seconds


def test_short_training_refuses_missing_validation_and_epochs_below_one() -> None:
    with pytest.raises(NasError, match="bilevel=true"):
        short_training(small_images(bilevel=False))
    with pytest.raises(NasError, match="epochs=0"):
        short_training(small_images(), epochs=0)


def test_short_training_takes_a_string_or_an_index() -> None:
    evaluate = short_training(small_images(size=64), epochs=1)
    genotype = SMALL_SPACE.from_index(11)
    assert evaluate(11).value == evaluate(SMALL_SPACE.native(genotype)).value == evaluate(genotype).value
    for given, message in (("8:16:24:32:40", "does not fit space=nas_bench_201"), (15_625, "index=15625")):
        with pytest.raises(NasError, match=message):
            evaluate(given)


def test_short_training_at_fidelity_equals_training_of_that_length() -> None:
    data = Synthetic(shape=(3, 8, 8), size=96, test_size=16, batch_size=16, noise=0.4)
    cosine = partial(torch.optim.lr_scheduler.CosineAnnealingLR, T_max=1)
    make = partial(short_training, data)
    several = make(scheduler=cosine, fidelities=[1, 2, 4])
    genotype = SMALL_SPACE.parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|")
    found = {length: several(genotype, length).value for length in (4, 1, 2)}
    for length, value in found.items():
        one = make(epochs=length, scheduler=partial(cosine, T_max=length))
        assert one(genotype).value == value
    assert len(set(found.values())) > 1
    step = partial(torch.optim.lr_scheduler.StepLR, step_size=1)
    with pytest.raises(
        NasError, match="evaluator.scheduler_epochs_arg=T_max: evaluator.scheduler takes no such argument"
    ):
        make(scheduler=step, fidelities=[1, 2])
    assert make(scheduler=step, scheduler_epochs_arg=None, fidelities=[1, 2])(genotype, 1).value >= 0


class OneBatch(list[tuple[torch.Tensor, torch.Tensor]]):
    """A loader of a single batch."""

    def set_epoch(self, epoch: int) -> None:
        pass


def test_short_training_clips_the_gradient() -> None:
    """With plain SGD, a step is at most learning rate times norm."""

    def moved(clip_norm: float | None) -> float:
        evaluator = short_training(small_images(), clip_norm=clip_norm)
        evaluator._build_optimizer = partial(torch.optim.SGD, lr=1.0)
        network = SMALL_SPACE.network(
            SMALL_SPACE.parse("|skip_connect~0|+|none~0|none~1|+|none~0|none~1|none~2|"), **SMALL_NETWORK
        )
        before = torch.cat([p.detach().flatten() for p in network.parameters()])
        evaluator._train = OneBatch([next(iter(evaluator._train))])  # type: ignore[assignment]
        evaluator._fit(network, None)
        return float((torch.cat([p.detach().flatten() for p in network.parameters()]) - before).norm())

    assert moved(1e-3) == pytest.approx(1e-3, rel=1e-2) and moved(None) > 0.1
