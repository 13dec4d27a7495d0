"""Language models: sizes, initialization, dropouts, hidden states between chunks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nas.architecture.cell import Architecture, EdgeWeights
from nas.nn.chunk import Chunk
from nas.nn.macs import count_macs, count_operations, count_parameters
from nas.spaces.recurrent.network import LanguageModel
from nas.spaces.recurrent.space import Recurrent
from nas.zoo.architectures import get_architecture

WORDS = 11
SMALL = {"hidden_size": 6, "nodes": 3}


def supernet(**options: float) -> LanguageModel:
    torch.manual_seed(0)
    network = Recurrent((), WORDS, **SMALL, **options).supernet()  # type: ignore[arg-type]
    assert isinstance(network, LanguageModel)
    return network


def mixture() -> Architecture:
    return {"recurrent": EdgeWeights(torch.full((6, 5), 0.2), [[True] * 5] * 6)}


def tokens(steps: int, columns: int = 4) -> Tensor:
    return torch.randint(WORDS, (steps, columns), generator=torch.Generator().manual_seed(1))


def test_parameters_of_the_published_networks() -> None:
    """Figures of quark0/darts; embedding and decoder share a matrix."""
    genotype = get_architecture("RNN_DARTS_V2").genotype
    with torch.device("meta"):
        ptb = Recurrent((), 10_000)
        assert count_parameters(ptb.supernet()) == 4_810_000
        network = ptb.network(ptb.parse(genotype))
        assert count_parameters(network) == 22_960_000
        wikitext = Recurrent((), 33_278).network(ptb.parse(genotype), hidden_size=700)
    assert count_parameters(wikitext) == 33_127_878
    assert count_macs(network, ()) == 850 * 10_000 + (2 + 8) * 850 * 2 * 850


def test_multiply_adds_of_a_supernet_count_every_candidate_source() -> None:
    n = 6
    sources = 1 + 2 + 3
    expected = n * WORDS + (2 + sources) * n * 2 * n
    assert count_operations(supernet(), (), "macs", mixture()) == expected


def test_weights_are_uniform_and_the_bias_is_zero() -> None:
    network = supernet()
    assert network.decoder.weight is network.embedding.weight
    for name, parameter in network.named_parameters():
        values = parameter.detach()
        if name == "decoder.bias":
            assert not values.any()
        else:
            assert values.abs().max() <= 0.04 and float(values.std()) == pytest.approx(0.04 / 3**0.5, rel=0.2)


def test_chunks_of_a_stream_continue_each_other() -> None:
    network, text = supernet().eval(), tokens(7)
    whole = network.outputs(Chunk(text, "val", 0), mixture())
    parts = [network.outputs(Chunk(part, "val", n), mixture()) for n, part in enumerate(text.split(3))]
    torch.testing.assert_close(torch.cat([part.logits for part in parts]), whole.logits)
    assert whole.hidden is not None and whole.logits.shape == (28, WORDS) and whole.hidden.shape == (7, 4, 6)
    other = network(Chunk(text[3:6], "test", 1), mixture())
    assert not torch.equal(other, parts[1].logits), "another stream begins with zeros"


def test_a_tensor_of_tokens_is_one_step_without_effect_on_streams() -> None:
    network = supernet().eval()
    first = network(Chunk(tokens(1), "val", 0), mixture())
    assert torch.equal(network(tokens(1)[0], mixture()), first)
    assert network.states.state().keys() == {"val"}


@pytest.mark.parametrize("name", ["word", "embedding", "input", "hidden", "output"])
def test_dropouts_act_in_training_alone_and_with_one_mask_per_chunk(name: str) -> None:
    none = {f"{n}_dropout": 0.0 for n in ("word", "embedding", "input", "hidden", "output")}
    network, chunk = supernet(**{**none, f"{name}_dropout": 0.5}), Chunk(tokens(3), "test")
    network.cell.norm.train()
    exact = supernet(**none).train()(chunk, mixture())
    network.use_batch_statistics()
    assert torch.equal(network(chunk, mixture()), exact)
    features = network.train().outputs(chunk, mixture()).features
    assert not torch.equal(network(chunk, mixture()), exact)
    dropped = (features == 0).any(dim=0)
    assert dropped.any() == (name == "output")
    assert torch.equal(dropped, (features == 0).all(dim=0))


def test_word_dropout_removes_all_occurrences_of_a_word() -> None:
    embedding = supernet(word_dropout=0.5).train().embedding
    text = torch.arange(WORDS).repeat(2, 1)
    found = embedding(text)
    dropped = (found == 0).all(dim=-1)
    assert torch.equal(dropped[0], dropped[1]) and 0 < int(dropped[0].sum()) < WORDS
    assert torch.equal(found[~dropped], 2 * embedding.weight[text][~dropped])


def test_batch_statistics_are_those_of_the_batch() -> None:
    network = supernet()
    network.use_batch_statistics()
    assert network.cell.norm.training and not network.training and not network.cell.hidden_dropout.training
