"""Bilevel steps on text against the loop of the DARTS authors in plain torch, with explicit hidden states, float64."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import SGD
from torch.utils.data import DataLoader

from nas.architecture.cell import Architecture, EdgeWeights
from nas.gradients.first_order import FirstOrder
from nas.gradients.unrolled import Unrolled
from nas.nn.chunk import Chunk
from nas.objectives.language_modeling import LanguageModeling
from nas.objectives.reinforce import ReinforceObjective
from nas.relaxations.softmax import Softmax
from nas.searches.arch_step import ArchStep
from nas.searches.compatibility import check_arch_step
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.recurrent.network import LanguageModel
from nas.spaces.recurrent.space import Recurrent
from nas.utils.errors import NasError

WORDS, SIZE, COLUMNS, LENGTHS = 7, 4, 3, (5, 2, 5)
LR, CLIP, DECAY, ARCH_LR, BETA, ALPHA = 2.0, 0.05, 0.01, 0.3, 0.5, 0.1
NO_DROPOUT = {f"{name}_dropout": 0.0 for name in ("word", "embedding", "input", "hidden", "output")}
Pair = tuple[Tensor, Tensor]
Weights = dict[str, Tensor]


def texts() -> list[dict[str, Pair]]:
    """Return tokens and targets of the chunks of an epoch; those of the architecture have full length."""
    generator = torch.Generator().manual_seed(3)

    def chunk(length: int) -> Pair:
        rows = torch.randint(WORDS, (length + 1, COLUMNS), generator=generator)
        return rows[:-1], rows[1:].flatten()

    return [{"train": chunk(length), "arch": chunk(5)} for length in LENGTHS]


def batches() -> list[dict[str, Any]]:
    found = []
    for number, (pair, length) in enumerate(zip(texts(), LENGTHS, strict=True)):
        (x, y), (arch_x, arch_y) = pair["train"], pair["arch"]
        found.append(
            {"train": (Chunk(x, "train", number, length / 5), y), "val": (Chunk(arch_x, "arch", number), arch_y)}
        )
    return found


class Explicit(nn.Module):
    """The supernet as a function of tokens and hidden state, to logits and hidden states."""

    def __init__(self, network: LanguageModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, tokens: Tensor, hidden: Tensor, arch: Architecture) -> tuple[Tensor, Tensor]:
        states = self.network.cell(self.network.embedding(tokens), hidden, arch)
        return self.network.decoder(states.flatten(0, 1)), states


class Authors:
    """The loop of quark0/darts, rnn/train_search.py and rnn/architect.py, with SGD for alpha."""

    def __init__(self, search: GradientSearch, unrolled: bool, unmoved: list[str]) -> None:
        assert isinstance(search.supernet, LanguageModel)
        self.network = Explicit(search.supernet)
        self.weights = {name: p.detach().clone() for name, p in search.supernet.named_parameters()}
        self.alpha = search.relaxation.alpha["recurrent"].detach().clone()
        self.unrolled, self.unmoved = unrolled, unmoved

    def run(self, weights: Weights, alpha: Tensor, pair: Pair, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and hidden states."""
        mixed = alpha.exp() / alpha.exp().sum(dim=1, keepdim=True)
        arch: Architecture = {"recurrent": EdgeWeights(mixed, [[True] * 5] * len(mixed))}
        given = {f"network.{name}": w for name, w in weights.items()}
        logits, states = functional_call(self.network, given, (pair[0], hidden, arch))
        return F.nll_loss(logits.log_softmax(-1), pair[1]), states

    def grads(self, loss: Tensor, inputs: list[Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad(loss, inputs))

    def leaves(self, weights: Weights) -> Weights:
        return {name: w.clone().requires_grad_() for name, w in weights.items()}

    def arch_step(self, batch: dict[str, Pair], hidden: dict[str, Tensor], eta: float) -> None:
        alpha = self.alpha.clone().requires_grad_()
        if not self.unrolled:
            loss, states = self.run(self.weights, alpha, batch["arch"], hidden["arch"])
            (grad,) = self.grads(loss, [alpha])
        else:
            w = self.leaves(self.weights)
            train = self.grads(self.run(w, alpha, batch["train"], hidden["train"])[0], list(w.values()))
            kappa = CLIP / (float(torch.cat([g.flatten() for g in train]).norm()) + 1e-6)
            clipped = [g * min(1.0, kappa) for g in train]
            ahead = {n: (p - eta * (g + DECAY * p)).detach() for (n, p), g in zip(w.items(), clipped, strict=True)}
            ahead = self.leaves({n: self.weights[n] if n in self.unmoved else p for n, p in ahead.items()})
            loss, states = self.run(ahead, alpha, batch["arch"], hidden["arch"])
            grad, *vector = self.grads(loss, [alpha, *ahead.values()])
            norm = float(torch.cat([v.flatten() for v in vector]).norm())
            vector = [v * min(1.0, CLIP / (norm + 1e-6)) for v in vector]
            length = 0.01 / float(torch.cat([v.flatten() for v in vector]).norm())
            sides = []
            for sign in (1, -1):
                moved = {n: p + sign * length * v for (n, p), v in zip(self.weights.items(), vector, strict=True)}
                loss, _ = self.run(moved, alpha, batch["train"], hidden["train"])
                sides += self.grads(loss, [alpha])
            grad = grad - eta * kappa * (sides[0] - sides[1]) / (2 * length)
        hidden["arch"] = states[-1].detach()
        self.alpha = self.alpha - ARCH_LR * grad

    def weight_step(self, batch: dict[str, Pair], hidden: dict[str, Tensor], eta: float) -> None:
        w = self.leaves(self.weights)
        loss, states = self.run(w, self.alpha, batch["train"], hidden["train"])
        hidden["train"] = states[-1].detach()
        loss = loss + ALPHA * states.pow(2).mean() + BETA * (states[1:] - states[:-1]).pow(2).mean()
        grads = self.grads(loss, list(w.values()))
        factor = min(1.0, CLIP / (float(torch.cat([g.flatten() for g in grads]).norm()) + 1e-6))
        self.weights = {
            n: (p - eta * (factor * g + DECAY * p)).detach() for (n, p), g in zip(w.items(), grads, strict=True)
        }

    def epoch(self) -> None:
        hidden = {stream: torch.zeros(COLUMNS, SIZE, dtype=torch.float64) for stream in ("train", "arch")}
        for batch, length in zip(texts(), LENGTHS, strict=True):
            eta = LR * length / 5
            self.arch_step(batch, hidden, eta)
            self.weight_step(batch, hidden, eta)


@pytest.mark.parametrize(("unrolled", "unmoved"), [(False, []), (True, []), (True, ["embedding.weight"])])
def test_two_epochs_match_the_loop_of_the_authors(unrolled: bool, unmoved: list[str]) -> None:
    torch.manual_seed(0)
    penalties = {"activation_penalty": ALPHA, "temporal_penalty": BETA}
    space = Recurrent((), WORDS, hidden_size=SIZE, nodes=3, **NO_DROPOUT, **penalties)
    gradient: Any = Unrolled(clip_norm=CLIP, unmoved=unmoved) if unrolled else FirstOrder()
    search = GradientSearch(
        space,
        partial(Softmax, init_std=1.0),
        WeightStep(partial(SGD, lr=LR, weight_decay=DECAY), clip_norm=CLIP),
        ArchStep(partial(SGD, lr=ARCH_LR), gradient=gradient),
    ).double()
    with torch.no_grad():
        for parameter in search.supernet.parameters():
            parameter.mul_(20)  # of the size of trained weights
    authors = Authors(search, unrolled, unmoved)
    before = authors.alpha
    for _ in range(2):
        authors.epoch()
    options: dict[str, Any] = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    trainer = pl.Trainer(max_epochs=2, accelerator="cpu", precision="64-true", **options)
    trainer.fit(search, DataLoader(batches(), batch_size=None))  # type: ignore[arg-type]
    close = partial(torch.testing.assert_close, rtol=1e-8, atol=1e-11)
    for name, weight in search.supernet.named_parameters():
        close(weight.detach(), authors.weights[name], msg=lambda m, n=name: f"{n}: {m}")
    close(search.relaxation.alpha["recurrent"].detach(), authors.alpha)
    assert float((authors.alpha - before).abs().max()) > 1e-3, "alpha has moved"
    (optimizer,) = [search.weight_optimizer()]
    assert optimizer is not None and optimizer.param_groups[0]["lr"] == LR


def test_perplexity_is_no_reward() -> None:
    relaxation = Softmax(Recurrent((), WORDS, nodes=2).cells)
    step = ArchStep(partial(SGD, lr=ARCH_LR), reward=ReinforceObjective())
    with pytest.raises(NasError, match=r"method.arch_step.reward: .* which the perplexity is not. Use .*reward=null"):
        check_arch_step(relaxation, step, LanguageModeling())
