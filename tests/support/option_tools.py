"""Observations of relaxations, edges and schedules, for tests of their options."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from nas.architecture.cell import EdgeWeights, Genotype
from nas.architecture.masks import Masks
from nas.blackbox.features import OneHotFeatures
from nas.blackbox.predictors.base import Predictor
from nas.gradients.base import BilevelStep
from nas.nn.chunk import Chunk
from nas.nn.edges.mixed import EdgeRow, MixedEdge
from nas.nn.ops import OpOptions
from nas.objectives.cost_target import CostTarget
from nas.objectives.resource_penalty import ResourcePenalty
from nas.objectives.task_of import task_of
from nas.proxies.evaluate import ProxyEvaluator
from nas.proxies.proxy import Proxy
from nas.relaxations.base import Relaxation
from nas.relaxations.edgewise import EdgewiseRelaxation
from nas.relaxations.softmax import Softmax
from nas.spaces.base import Space
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.network_cost import network_costs
from nas.training.language_model import LanguageModelTraining
from nas.training.network_training import Training
from tests.support.ddp_probe import digest
from tests.support.lr_tools import rates_by_step
from tests.support.proxy_tools import CELL, proxy_batches
from tests.training.test_language_model import fit as fit_text
from tests.training.test_network_training import fit

SPACE = NasBench201((3, 8, 8), 10, channels=4, cells_per_stage=1)


class Options(NamedTuple):
    """A configured class with values of its options that should make a difference.

    Attributes:
        build: builds the part from options.
        base: the options that every case has; a change replaces or adds to them.
        changes: another value for each option.
        observe: returns what the built part does, in values that can be compared.
    """

    build: Callable[..., Any]
    base: Mapping[str, Any]
    changes: Mapping[str, Any]
    observe: Callable[[Any], Any]

    def seen(self, **options: Any) -> Any:
        """Build the part from a fixed seed, and observe it."""
        torch.manual_seed(0)
        return self.observe(self.build(**{**self.base, **options}))


def relaxation(built: Relaxation) -> list[Any]:
    """Return the sample, the gradient of alpha, the penalty and the scores of a relaxation."""
    masks = Masks(built.cells)
    arch = built.sample(masks)
    total = torch.stack([(part.op * torch.arange(part.op.numel()).view_as(part.op)).sum() for part in arch.values()])
    parameters = [p for p in built.parameters() if p.requires_grad]
    grads: Any = ()
    if total.requires_grad:
        grads = [g for g in torch.autograd.grad(total.sum(), parameters, allow_unused=True) if g is not None]
    edges = [part.edge for part in arch.values() if part.edge is not None]
    return [
        digest([*built.parameters(), *grads, *edges, *(part.op for part in arch.values())]),
        [part.active for part in arch.values()],
        float(torch.as_tensor(built.penalty()).detach()),
        digest(built.scores(masks).values()),
    ]


def controller(built: Any) -> list[float]:
    """Return log-probability and entropy of a path."""
    path = built.sample_path(Masks(built.cells))
    return [float(path.log_prob.detach()), float(path.entropy.detach())]


OPS = ("none", "skip_connect", "nor_conv_3x3")


def edge(build: Any, **options: Any) -> MixedEdge:
    """Build an edge of four channels."""
    built: MixedEdge = build(OPS, 4, 1, OpOptions(), **options)
    return built


def mixture(built: MixedEdge) -> list[Any]:
    """Return the output of an edge that skips an op, and the shapes of its weights."""
    out = built(torch.randn(2, 4, 5, 5), EdgeRow(torch.tensor([0.2, 0.5, 0.3]).unbind(), [False, True, True], None))
    return [digest([out]), sorted((name, value.shape) for name, value in built.state_dict().items())]


def architecture_gradient(gradient: Any) -> str:
    """Return the gradient of a small bilevel problem."""
    alpha, weight = torch.tensor([0.3, -0.2]).requires_grad_(), nn.Parameter(torch.tensor([0.5, 1.5]))
    train, val = (torch.tensor([1.0, 2.0]), torch.zeros(1)), (torch.tensor([-1.0, 0.5]), torch.zeros(1))

    def loss(batch: Any, weights: Any = None) -> Tensor:
        w = weight if weights is None else weights["w"]
        return (torch.sin(w * batch[0]) * alpha.exp()).sum().square()

    step = BilevelStep(
        loss, [alpha], {"w": weight}, train, val, torch.optim.SGD([weight], 0.1), lambda tensors: tensors
    )
    return digest(gradient(step))


def perturbation(built: Any) -> str:
    """Return the perturbed weights of a uniform architecture under a loss with a gradient."""
    arch = EdgewiseUniform(SPACE.cells).sample(Masks(SPACE.cells))
    slope = torch.arange(30.0).view(6, 5).sin()
    return digest(part.op for part in built(arch, lambda a: (a["cell"].op * slope).sum(), lambda t: t).values())


class EdgewiseUniform(EdgewiseRelaxation):
    """Equal weights for all ops."""

    def relax(self, alpha: Tensor, mask: Tensor) -> Any:
        return SimpleNamespace(weights=mask / mask.sum(-1, keepdim=True), chosen=None)


def resource(**options: Any) -> ResourcePenalty:
    """Build a penalty for a small supernet."""
    return ResourcePenalty(SPACE.supernet(), SPACE.cells, SPACE.shape, **options)


def penalty(built: ResourcePenalty) -> float:
    """Return the penalty of a sampled architecture."""
    built_relaxation: Any = EdgewiseUniform(SPACE.cells, init_std=1.0)
    built_relaxation.tau = 1.0
    masks = Masks(SPACE.cells)
    return float(built(built_relaxation.sample(masks), built_relaxation, masks).detach())


def cost_target(**options: Any) -> CostTarget:
    """Build a target for the costs of a small network."""
    built = CostTarget(**options)
    costs = {cost.name: cost for cost in network_costs(SPACE, channels=4, cells_per_stage=1)}
    built.use(SPACE, costs[built.cost])
    return built


def loss_with_cost(built: CostTarget) -> float:
    """Return the architecture loss for a loss of 2."""
    return float(built.loss(torch.tensor(2.0), Softmax(SPACE.cells, init_std=0.0), Masks(SPACE.cells)).detach())


def optimizer_with(build: Any) -> Callable[..., Any]:
    """Return a builder of a scheduler with an optimizer of learning rate 0.1."""
    return lambda **options: build(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1), **options)


def learning_rates(scheduler: Any) -> list[float]:
    """Return the learning rates of 24 steps; half an epoch each where the rate changes within epochs."""
    if hasattr(scheduler, "set_steps_per_epoch"):
        return [scheduler.rate(0.1, step / 2) for step in range(24)]
    return [float(rate) for rate in rates_by_step(scheduler, 24)]


def trained(training: Training) -> list[Any]:
    """Return the weights and metrics after two epochs."""
    trainer: pl.Trainer = fit(training, 2)
    metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
    return [digest(training.parameters()), metrics]


def trained_on_text(training: LanguageModelTraining) -> list[Any]:
    """Return the weights and metrics after two epochs on text."""
    trainer: pl.Trainer = fit_text(training, 2)
    metrics = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
    return [digest(training.parameters()), metrics]


def score(proxy: Proxy) -> list[Any]:
    """Return the score of a small network."""
    genotype = SPACE.parse(architecture())
    options = {"channels": 4, "cells_per_stage": 1}
    evaluator = ProxyEvaluator(SPACE, proxy, proxy_batches(), options)
    return [evaluator(genotype), len(evaluator.batch()[0])]


def architecture() -> str:
    """Return the native string of ``CELL``."""
    nodes = [CELL[:1], CELL[1:3], CELL[3:]]
    return "+".join("|" + "|".join(f"{op}~{source}" for source, op in enumerate(node)) + "|" for node in nodes)


def asked(strategy: Any) -> list[str]:
    """Return the first 150 genotypes that a strategy asks for."""
    rng = random.Random(0)
    found = []
    for _ in range(150):
        genotype: Genotype = strategy.ask(rng)
        found.append(SPACE.native(genotype))
        strategy.tell(genotype, float(sum(map(ord, found[-1])) % 97))
    return found


def predicted(predictor: Predictor) -> list[float]:
    """Return predictions and deviations after a fit to 40 random genotypes."""
    rng, features = random.Random(0), OneHotFeatures(SPACE)
    genotypes = [SPACE.sample(rng) for _ in range(60)]
    table, values = features.encode(genotypes), np.array([len(SPACE.native(genotype)) % 17 for genotype in genotypes])
    predictor.fit(table[:40], values[:40].astype(float), seed=1)
    return [float(value) for part in predictor.predict(table[40:]) for value in part]


RECURRENT = {"hidden_size": 8, "nodes": 2, "activation_penalty": 0.1, "temporal_penalty": 0.1}
RECURRENT |= {f"{name}_dropout": 0.5 for name in ("word", "embedding", "input", "hidden", "output")}


def language_model(space: Space) -> str:
    """Return the outputs and the penalty of a training pass of the supernet of a recurrent space."""
    (cell,) = space.cells.values()
    shape = len(cell.edges), len(cell.ops)
    arch = {"recurrent": EdgeWeights(torch.full(shape, 1 / shape[1]), cell.allowed().tolist())}
    outputs = space.supernet().train().outputs(Chunk(torch.arange(12).view(4, 3) % space.classes), arch)
    penalty = task_of(space).penalty(outputs)
    return digest([outputs.logits, *([] if penalty is None else [penalty])])


def supernet(space: Space) -> list[Any]:
    """Return the cells of a space and the output and tensors of its supernet."""
    network = space.supernet()
    torch.manual_seed(1)
    weights = EdgewiseUniform(space.cells).sample(Masks(space.cells))
    with torch.no_grad():
        logits = network.train()(torch.randn(4, *space.shape), weights)
    return [space.cells, digest([logits]), [(name, value.shape) for name, value in network.state_dict().items()]]
