"""The space of a model: decisions, checks, networks of genotypes, costs."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import CellGenotype, EdgeWeights, Genotype, Link
from nas.architecture.discretization import discretize
from nas.architecture.masks import Masks
from nas.blackbox.encoding import CategoricalEncoding
from nas.blackbox.mutations import mutate
from nas.choices import Choice, InputChoice, ModelSpace, Repeat, Width, Zero, space
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.macs import count_macs, count_parameters
from nas.objectives.resource_penalty import ResourcePenalty
from nas.relaxations.softmax import Softmax
from nas.utils.errors import NasError
from tests.support.choice_models import Net, conv
from tests.support.choice_tools import NET, random_arch

SHAPE, CLASSES = (1, 8, 8), 10


@pytest.fixture(scope="module")
def net() -> ModelSpace:
    return space(Net, SHAPE, CLASSES)


class Wrapped(nn.Module):
    """A model of given parts in a row, and a classifier of the mean over pixels."""

    def __init__(self, *parts: nn.Module, channels: int = 1, classes: int = CLASSES) -> None:
        super().__init__()
        self.parts, self.classifier = nn.Sequential(*parts), nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.parts(x).mean(dim=(2, 3)))


def wrapped(*builders: Any, **options: Any) -> ModelSpace:
    """Return the space of a model whose parts the functions build."""
    return ModelSpace(SHAPE, CLASSES, lambda shape, classes: Wrapped(*(build() for build in builders), **options))


def test_decisions_have_the_names_of_choices(net: ModelSpace) -> None:
    names = ["stem", "act", "depth", "kernel", "blocks_0_inner", "blocks_1_inner", "merge", "wide", "node"]
    assert list(net.cells) == names
    assert net.cells["depth"].ops == ("1", "2") and net.cells["node"].edges == ((0, 2), (1, 2))
    supernet = net.supernet()
    assert [choice.decision for choice in supernet.choices].count("kernel") == 2  # type: ignore[operator, union-attr]


@pytest.mark.parametrize("training", [True, False])
def test_networks_equal_the_supernet_at_one_hot_weights(net: ModelSpace, training: bool) -> None:
    torch.manual_seed(0)
    supernet, rng = net.supernet().double(), random.Random(0)
    x = torch.randn(4, *SHAPE, dtype=torch.float64)
    with torch.no_grad():
        for parameter in supernet.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        supernet(x, random_arch(net))  # statistics of batch norm
        sizes = set()
        for _ in range(12):
            genotype = net.sample(rng)
            assert net.parse(net.native(genotype)) == genotype
            network = net.inherit(genotype, supernet).double().train(training)
            state = {name: value.clone() for name, value in supernet.state_dict().items()}
            expected = supernet.train(training)(x, net.encode(genotype, like=x))
            torch.testing.assert_close(network(x), expected, rtol=1e-10, atol=1e-10)
            supernet.load_state_dict(state)
            sizes.add(count_parameters(network))
    assert len(sizes) > 6 and type(network.model) is Net  # type: ignore[comparison-overlap]


def test_networks_have_weights_of_their_own(net: ModelSpace) -> None:
    supernet, genotype = net.supernet(), net.sample(random.Random(1))
    network = net.inherit(genotype, supernet)
    own = {parameter.data_ptr() for parameter in network.parameters()}
    assert not own & {parameter.data_ptr() for parameter in supernet.parameters()}
    with torch.device("meta"):
        assert all(parameter.is_meta for parameter in net.network(genotype).parameters())


def test_black_box_encodings_cover_all_decisions(net: ModelSpace) -> None:
    encoding = CategoricalEncoding(net)
    genotype = encoding.decode(lambda number: 0)
    net.check(genotype)
    for _ in range(10):
        genotype = mutate(net, genotype, random.Random(2))
        net.check(genotype)


def test_costs_are_those_of_the_networks(net: ModelSpace) -> None:
    """The difference of two networks that differ in one decision is that of the two options."""
    costs = net.supernet().op_costs()  # type: ignore[operator]
    base = net.sample(random.Random(3))

    def size(**changes: str) -> tuple[int, int]:
        changed = {n: CellGenotype((Link(op, 0, 1),), (1,)) for n, op in changes.items()}
        network = net.network(Genotype(base.space, {**base.cells, **changed}))
        return count_parameters(network), count_macs(network, SHAPE)

    one = size(stem="conv3", depth="2", kernel="conv1", wide="4")
    for change, rows in {"wide": "8", "kernel": "conv3", "blocks_0_inner": "6"}.items():
        given = {"stem": "conv3", "depth": "2", "kernel": "conv1", "wide": "4", "blocks_0_inner": "2"}
        one, other = size(**given), size(**{**given, change: rows})
        table, ops = costs[change].sum(dim=1)[:, 0], net.cells[change].ops
        difference = table[:, ops.index(rows)] - table[:, ops.index(given[change])]
        assert difference[:2].tolist() == [other[0] - one[0], other[1] - one[1]], change
    deeper = costs["depth"][1, 0, 0]
    assert deeper[1] == 2 * deeper[0] > 0  # nested choices count with their mean


def test_penalty_follows_the_multiply_adds(net: ModelSpace) -> None:
    torch.manual_seed(0)
    relaxation, masks = Softmax(net.cells, init_std=0.0), Masks(net.cells)
    penalty = ResourcePenalty(net.supernet(), net.cells, SHAPE, "macs", "expected", log=False, strength=1.0)
    before = penalty(relaxation.sample(masks), relaxation, masks)
    before.backward()
    assert relaxation.alpha["wide"].grad[0, 1] > 0 > relaxation.alpha["wide"].grad[0, 0]
    assert relaxation.alpha["node"].grad[0, 2] > 0
    with torch.no_grad():
        for alpha in relaxation.alpha.values():
            alpha -= 1e-3 * alpha.grad
    assert penalty(relaxation.sample(masks), relaxation, masks) < before


def test_inactive_options_have_no_gradient() -> None:
    built = wrapped(lambda: Choice({"a": conv(1, 1, 1), "b": conv(1, 1, 3)}, name="c"))
    supernet = built.supernet()
    arch = {"c": EdgeWeights(torch.tensor([[1.0, 0.0]]), [[True, False]])}
    supernet(torch.randn(4, *SHAPE), arch).sum().backward()
    grads = {name: parameter.grad is not None for name, parameter in supernet.named_parameters()}
    assert any(grads[name] for name in grads if "candidates.0" in name)
    assert not any(grads[name] for name in grads if "candidates.1" in name)


def test_signal_is_measured(net: ModelSpace) -> None:
    built = wrapped(lambda: Choice({"none": Zero(), "id": nn.Identity()}, name="c"))
    found = {
        built.native(built.sample(random.Random(i))): built.reads_input(built.sample(random.Random(i)))
        for i in range(8)
    }
    assert found == {"choices:c:none": False, "choices:c:id": True}


class Nested(nn.Module):
    """A module that contains itself."""

    def __init__(self, shape: Any, classes: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.ReLU())
        self.inner.append(self)


def nested_names() -> nn.Module:
    inner = Choice([Choice([nn.ReLU()], name="outer")], name="inner")
    return Choice([nn.Sequential(inner)], name="outer")


MISTAKES: dict[str, tuple[Any, str]] = {
    "no choice": (lambda: wrapped(nn.ReLU), "the model has no choices"),
    "itself": (lambda: space(Nested, SHAPE, CLASSES), "contains itself"),
    "cycle": (lambda: wrapped(nested_names), "'outer' in 'inner' in 'outer'"),
    "options": (
        lambda: wrapped(lambda: Choice([nn.ReLU()], name="a"), lambda: Choice([nn.Tanh()], name="a")),
        "at 'parts.1' shares its name with 'parts.0', but has other options (Tanh_0 and ReLU_0)",
    ),
    "position": (
        lambda: wrapped(lambda: Choice([nn.ReLU()]), lambda: Choice([nn.ReLU()], name="parts_0")),
        "has the name of another choice",
    ),
    "reserved": (lambda: wrapped(lambda: Choice([nn.ReLU()], name="training")), "reserved name"),
    "characters": (lambda: wrapped(lambda: Choice([nn.ReLU()], name="a.b")), "other characters"),
    "shapes": (
        lambda: wrapped(lambda: Choice({"a": conv(1, 1, 3), "b": conv(1, 1, 3, 2)}, name="stem")),
        "Choice 'stem' has options with outputs of different shapes: 'a' [2, 1, 8, 8], 'b' [2, 1, 4, 4]",
    ),
    "logits": (lambda: wrapped(lambda: Choice([nn.ReLU()]), classes=7), "returns [2, 7] for 2 images and 10 classes"),
    "forward": (lambda: wrapped(lambda: Choice([conv(2, 1, 3)])), "forward fails on images [2, 1, 8, 8] (RuntimeError"),
    "arguments": (lambda: space(lambda shape: nn.ReLU(), SHAPE, CLASSES), "cannot be built with shape=[1, 8, 8]"),
    "construction": (
        lambda: wrapped(lambda: Repeat(nn.ReLU(), (1,), name="deep")),
        "Repeat 'deep' has a single ReLU as block",
    ),
    "no module": (lambda: space(lambda shape, classes: 3, SHAPE, CLASSES), "returns int"),  # type: ignore[arg-type, return-value]
    "built": (lambda: space(nn.ReLU(), SHAPE, CLASSES), "built already"),
    "missing": (lambda: ModelSpace(SHAPE, CLASSES), "space.model is missing"),
    "no name": (lambda: space("Net", SHAPE, CLASSES), "not a dotted name"),
    "no package": (lambda: space("my_missing.models:Net", SHAPE, CLASSES), "there is no module 'my_missing'"),
    "no class": (lambda: space("tests.support.choice_models:Nat", SHAPE, CLASSES), "has no 'Nat'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_name_the_model_in_one_line(mistake: str) -> None:
    build, expected = MISTAKES[mistake]
    with pytest.raises(NasError) as error:
        build()
    message = str(error.value)
    assert expected in message and message.startswith("space.model") and "\n" not in message


def test_other_networks_are_refused(net: ModelSpace) -> None:
    with pytest.raises(NasError, match="choice_models"):
        net.supernet(PartialChannels)
    other = wrapped(lambda: Choice([nn.ReLU()], name="stem"))
    with pytest.raises(NasError, match="does not fit space=choices"):
        net.network(other.sample(random.Random(0)))
    with pytest.raises(NasError, match="a supernet needs an architecture"):
        net.supernet()(torch.zeros(2, *SHAPE))
    with pytest.raises(NasError, match="weights come from a supernet"):
        net.inherit(net.sample(random.Random(0)), net.network(net.sample(random.Random(0))))


def test_options_and_dotted_names_build_the_model() -> None:
    named, given = space(NET, SHAPE, CLASSES, width=6), space(Net, SHAPE, CLASSES)
    assert named.cells["wide"].ops == ("6", "12") and given.cells["wide"].ops == ("4", "8")
    assert named.factory.owner == f"space.model={NET}" and given.factory.owner.endswith("choice_models.Net")


class Numbers(nn.Module):
    """A model whose construction reads a tensor, as schedules of drop-path rates do."""

    def __init__(self, shape: Any, classes: int) -> None:
        super().__init__()
        rates = [float(rate) for rate in torch.linspace(0, 0.5, 2)]
        self.parts = Choice([nn.Sequential(nn.Flatten(), nn.Dropout(rate), nn.Linear(64, classes)) for rate in rates])

    def forward(self, x: Tensor) -> Tensor:
        return self.parts(x)


def test_models_that_read_tensors_are_counted() -> None:
    built = space(Numbers, SHAPE, CLASSES)
    with torch.device("meta"):
        network = built.network(built.sample(random.Random(0)))
    assert next(network.parameters()).is_meta and count_macs(network, SHAPE) == 640
    supernet = built.supernet()
    supernet.use_batch_statistics()
    assert supernet.training and not any(m.training for m in supernet.modules() if isinstance(m, nn.Dropout))


def test_pruned_masks_apply_to_decisions(net: ModelSpace) -> None:
    masks = Masks(net.cells)
    masks.restrict("merge", torch.tensor([[False, True, True]]))
    genotypes = Softmax(net.cells).mode(masks, dict.fromkeys(net.cells, discretize))
    assert genotypes["merge"].links[0].op in ("0-2", "1-2")


def test_all_kinds_are_part_of_the_model(net: ModelSpace) -> None:
    kinds = {type(module) for module in Net(SHAPE, CLASSES).modules()}
    assert {Choice, Repeat, Width, InputChoice, Zero} <= kinds
