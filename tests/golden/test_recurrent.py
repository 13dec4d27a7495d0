"""Golden tests of recurrent cells: outputs, hidden states, gradients and the unrolled gradient of the authors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from nas.architecture.cell import Architecture
from nas.deploy.published_weights import load_published_weights
from nas.gradients.base import Batch, BilevelStep, Weights
from nas.gradients.unrolled import Unrolled
from nas.nn.chunk import Chunk, Stream
from nas.objectives.language_modeling import LanguageModeling
from nas.relaxations.softmax import Softmax
from nas.searches.gradient import GradientSearch
from nas.searches.weight_step import WeightStep
from nas.spaces.recurrent.network import LanguageModel
from nas.spaces.recurrent.notation import from_fields
from nas.spaces.recurrent.space import Recurrent
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden

pytestmark = pytest.mark.data

SEARCH, EVALUATION = "rnn_search", "rnn_eval_DARTS_V2"
NO_DROPOUT = {f"{name}_dropout": 0.0 for name in ("word", "embedding", "input", "hidden", "output")}
STREAMS: dict[str, Stream] = {"train": "train", "val": "arch"}
CLIP, DECAY, RADIUS = 0.25, 5e-7, 0.01


def space(stored: Golden) -> Recurrent:
    case = stored.entry["case"]
    return Recurrent((), case["vocab"], hidden_size=case["n"], temporal_penalty=0.0, **NO_DROPOUT)


def build_search(stored: Golden) -> GradientSearch:
    optimizer = partial(SGD, lr=stored.entry["case"]["eta"], weight_decay=DECAY)
    search = GradientSearch(space(stored), Softmax, WeightStep(optimizer))
    load_published_weights(search.supernet, stored.state())
    search.relaxation.alpha["recurrent"].data.copy_(stored.tensor("alpha"))
    begin(stored, search.supernet)
    return search.train()


def begin(stored: Golden, network: torch.nn.Module) -> None:
    """Set the hidden states before chunk 1 of each stream."""
    assert isinstance(network, LanguageModel)
    states = {stream: stored.tensor(f"hidden_{half}")[0] for half, stream in STREAMS.items()}
    network.states.load_state({s: {"number": 0, "start": h, "end": h} for s, h in states.items()})


def load(stored: Golden, half: str) -> Batch:
    return Chunk(stored.tensor(f"tokens_{half}"), STREAMS[half], number=1), stored.tensor(f"target_{half}")


def compare_pass(
    compare: Comparison, mode: str, network: torch.nn.Module, arch: Architecture | None, alpha: Tensor | None = None
) -> None:
    """Compare outputs, next hidden state, loss and gradients of a pass over the validation chunk."""
    assert isinstance(network, LanguageModel)
    begin(compare.golden, network)
    chunk, target = load(compare.golden, "val")
    outputs = network.outputs(chunk, arch)
    loss = LanguageModeling().loss(outputs.logits, target)
    network.zero_grad()
    loss.backward(inputs=[*network.parameters(), *([] if alpha is None else [alpha])])
    steps, columns = chunk.tokens.shape
    compare.equal(f"{mode}_log_prob", outputs.logits.log_softmax(-1).unflatten(0, (steps, columns)))
    compare.equal(f"{mode}_raw_output", outputs.hidden)
    compare.equal(
        f"{mode}_hidden_next", network.states.start(chunk._replace(number=2), network.size, outputs.logits)[None]
    )
    compare.equal(f"{mode}_loss", loss)
    cell, first = network.cell, network.cell.nodes[0].weight
    assert isinstance(first, Tensor) and first.grad is not None
    parts = [layer.weight.grad for layer in (cell.input, cell.hidden)]
    compare.equal(f"{mode}_grad_W0", torch.cat([part for part in parts if part is not None], dim=1).T)
    compare.equal(f"{mode}_grad_Ws0", first.grad.T)
    compare.equal(f"{mode}_grad_embedding", network.embedding.weight.grad)
    if alpha is not None:
        compare.equal(f"{mode}_grad_alpha", alpha.grad)


def test_network_of_a_genotype_matches_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden(EVALUATION)
    compare = Comparison(stored)
    genotype = from_fields(stored.entry["constructor"]["genotype"])
    case = stored.entry["case"]
    network = Recurrent((), case["vocab"]).network(genotype, hidden_size=case["n"], **NO_DROPOUT)
    load_published_weights(network, stored.state())
    for mode in ("eval", "train"):
        compare_pass(compare, mode, network.train(mode == "train"), None)
    compare.finish()


def test_supernet_matches_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden(SEARCH)
    second = {"clip_coef", "second_order_grad_alpha", "unrolled_loss_val"}
    compare = Comparison(stored, sorted(set(stored.entry["outputs"]) - second))
    for mode in ("eval", "train"):
        search = build_search(stored)
        alpha = search.relaxation.alpha["recurrent"]
        arch = search.relaxation.sample(search.masks)
        compare_pass(compare, mode, search.supernet.train(mode == "train"), arch, alpha)
    compare.finish()
    found = search.genotype().cells["recurrent"]
    expected = stored.entry["genotype_result"]
    assert [[link.op, link.source] for link in found.links] == expected["recurrent"]
    assert list(found.output) == expected["concat"]


def test_unrolled_gradient_matches_darts(golden: Callable[[str], Golden]) -> None:
    stored = golden(SEARCH)
    compare = Comparison(stored, ["clip_coef", "second_order_grad_alpha", "unrolled_loss_val"])
    search = build_search(stored)
    weights = dict(search.supernet.named_parameters())
    losses: list[Tensor] = []
    reduced: list[list[Tensor]] = []

    def loss(batch: Batch, weights: Weights | None = None) -> Tensor:
        losses.append(search.loss(batch, weights))
        return losses[-1]

    def reduce(tensors: list[Tensor]) -> list[Tensor]:
        reduced.append(tensors)
        return tensors

    optimizer = search.weight_step.optimizer(weights.values())
    batches, alphas = (load(stored, "train"), load(stored, "val")), list(search.relaxation.parameters())
    method = Unrolled(RADIUS, clip_norm=CLIP, unmoved=["embedding.weight"])
    (found,) = method(BilevelStep(loss, alphas, weights, *batches, optimizer, reduce))
    compare.equal("second_order_grad_alpha", found)
    compare.equal("unrolled_loss_val", losses[1])
    norm = torch.stack([gradient.square().sum() for gradient in reduced[0]]).sum().sqrt()
    compare.equal("clip_coef", CLIP / (norm + 1e-6))
    compare.finish()
