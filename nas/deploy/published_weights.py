"""Weights that the authors of the methods published, brought to the names of this library.

Understood are the networks of DARTS (and PC-DARTS, DrNAS, NoisyDARTS, Robust DARTS, which share its names),
those of NAS-Bench-201 (AutoDL-Projects, DrNAS), and the NASNet-like ones of AutoDL-Projects (GDAS with searched or
fixed reduction cells, DARTS), supernets and networks of one genotype alike; NoisyDARTS-A as timm names it; the
single-path networks of DSNAS and Single Path One-Shot. Their ops are numbered, ours are named, so the names follow
from the network that the weights are meant for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from nas.nn.cell_graph import CellGraph
from nas.spaces.base import Network
from nas.utils.errors import NasError

_ARCHITECTURE = re.compile(r"_?(log_alpha|alphas?|betas?|arch)(_\w+)?(\.\d+)?")
"""Architecture parameters at the top of the authors' networks: they belong to a relaxation here."""

_NUMBERED = re.compile(
    r"(cells\.\d+\.(?:_ops\.\d+(?:\._ops\.\d+)?|layers\.\d+|edges\.\d+<-\d+(?:(?:\._ops)?\.\d+)?))\.(.+)"
)
"""The place of an op in the authors' names, and what follows it."""

_SPELLINGS = (
    (re.compile(r"\bconvs\.0\."), "conv_1."),
    (re.compile(r"\bconvs\.1\."), "conv_2."),
    (re.compile(r"\bop_a\.op\."), "op."),
    (re.compile(r"(cells\.\d+)\.ops1\."), r"\1.conv_branches."),
    (re.compile(r"(cells\.\d+)\.ops2\."), r"\1.pool_branches."),
    (re.compile(r"^(features\.\d+)\.\d+\.(branch_)"), r"\1.\2"),
    (re.compile(r"^classifier\.[01]\."), "classifier."),
)
"""How AutoDL-Projects, DSNAS and the fine-tuned NoisyDARTS-A spell some parts, and how they are spelt here."""

_STAGED = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)")
"""A block of a chain by stage and place, as timm has it; here blocks are counted through."""

_SECOND_HALF = re.compile(r"\bop_b\.op\.(\d+)")
"""The second half of its double separable convolution; here it goes on counting after the four parts of the first."""

_COUNTER = "num_batches_tracked"
_SHOWN = 5


def translate_state_dict(state: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """The tensors of a published state_dict under the names that they have in ``network``.

    Architecture parameters are left out and the ``module.`` of DataParallel is stripped. A name that fits
    nothing in the network is kept as it is, and so are names of our own. Nothing is checked.
    """
    return {ours: state[theirs] for ours, theirs in _names(state, network).items()}


def load_published_weights(network: Network, state: Mapping[str, Tensor]) -> None:
    """Loads a published state_dict into ``network``, a supernet or the network of a genotype.

    Batch counters (``num_batches_tracked``) may be absent: no published network reads them. Raises NasError,
    before anything is changed, where weights are missing or unexpected or have another shape. It cannot
    notice that a genotype differs in what carries no weights: the source of a link, or a skip in a pool's place.
    """
    foreign = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if foreign:
        raise NasError(
            f"'{foreign[0]}' is not a tensor: expected a mapping of names to tensors; "
            "of a checkpoint pass the part that holds the weights, such as checkpoint['state_dict']"
        )
    names = _names(state, network)
    own = network.state_dict()
    missing = [key for key in own if key not in names and not key.endswith(_COUNTER)]
    unexpected = [theirs for key, theirs in names.items() if key not in own]
    shapes = [
        f"{theirs} {_shape(state[theirs])} instead of {_shape(own[key])}"
        for key, theirs in names.items()
        if key in own and state[theirs].shape != own[key].shape
    ]
    found = [_listed(*part) for part in (("missing", missing), ("unexpected", unexpected), ("shape", shapes))]
    if any(found):
        raise NasError(
            f"these weights belong to another architecture, size or kind of network: {'; '.join(filter(None, found))}"
        )
    network.load_state_dict({ours: state[theirs] for ours, theirs in names.items()}, strict=False)


def _names(state: Mapping[str, Tensor], network: Network) -> dict[str, str]:
    """Our name -> the published name, in the order of ``state``."""
    places = dict(_places(network))
    plain = {key.removeprefix("module."): key for key in state}
    staged = sorted({(int(match[1]), int(match[2])) for match in map(_STAGED.fullmatch, plain) if match})
    found: dict[str, str] = {}
    for name, key in plain.items():
        match = _STAGED.fullmatch(name)
        if match:
            name = f"blocks.{staged.index((int(match[1]), int(match[2])))}.{match[3]}"
        if not _ARCHITECTURE.fullmatch(name):
            found[_spelled(_rename(name, places))] = key
    return found


def _spelled(key: str) -> str:
    for theirs, ours in _SPELLINGS:
        key = theirs.sub(ours, key)
    return _SECOND_HALF.sub(lambda match: f"op.{int(match[1]) + 4}", key)


def _rename(key: str, places: Mapping[str, tuple[str, nn.Module]]) -> str:
    match = _NUMBERED.fullmatch(key)
    if match is None or match[1] not in places:
        return key
    prefix, module = places[match[1]]
    # DrNAS keeps a pool and its batch norm in an attribute, here they are the op itself
    rest = match[2].removeprefix("op.") if isinstance(module, nn.Sequential) else match[2]
    return f"{prefix}.{rest}"


def _places(network: Network) -> Iterator[tuple[str, tuple[str, nn.Module]]]:
    """Where the authors' networks have the ops that ours has: their prefix, our prefix and the op."""
    for path, graph in network.named_modules():
        if not isinstance(graph, CellGraph):
            continue
        cell = path.removesuffix(".graph")
        for e, (source, target) in enumerate(graph.cell.edges):
            edge = graph.get_submodule(f"edges.{graph.keys[e]}")
            ops = [op for op in graph.cell.ops if (e, op) not in graph.cell.excluded]
            for column, op in enumerate(ops):
                if op not in dict(edge.named_children()):
                    continue
                ours = f"{path}.edges.{graph.keys[e]}.{op}", edge.get_submodule(op)
                yield f"{cell}._ops.{e}._ops.{column}", ours
                yield f"{cell}.edges.{target}<-{source}.{column}", ours
                yield f"{cell}.edges.{target - 2}<-{source}._ops.{column}", ours
                if len(ops) == 1:
                    yield f"{cell}._ops.{e}", ours
                    yield f"{cell}.layers.{e}", ours
                    yield f"{cell}.edges.{target}<-{source}", ours


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(kind: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return f"{kind} {', '.join(items[:_SHOWN])}{more}"
