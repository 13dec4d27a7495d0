"""Published weights of other repositories, translated to the names of this library.

Supported networks, as supernets and as networks of a genotype:

* DARTS, and PC-DARTS, P-DARTS, DrNAS, NoisyDARTS and Robust DARTS, which share its names, with the cells of NASNet and
  AmoebaNet
* FairDARTS
* NAS-Bench-201 (AutoDL-Projects, DrNAS)
* the NASNet-like networks of AutoDL-Projects (GDAS with searched or fixed reduction cells, DARTS)
* NoisyDARTS-A as in timm, FairNAS and ProxylessNAS, and the single-path networks of DSNAS and Single Path One-Shot
* the recurrent language models of DARTS

These repositories number the ops, while this library names them. The translation therefore depends on the target
network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from nas.deploy.mobile_names import mobile_names
from nas.deploy.published_recurrent import convert_recurrent
from nas.nn.cell_graph import CellGraph
from nas.nn.edges.mixed import module_key
from nas.spaces.base import Network
from nas.spaces.single_path.mobilenet_v2_network import MobileNetV2Network
from nas.utils.errors import NasError

_ARCHITECTURE = re.compile(r"_?(log_alpha|alphas?|betas?|arch)(_\w+)?(\.\d+)?")
"""Architecture parameters at the top level of a published network; here they belong to the relaxation."""

_NUMBERED_OP = re.compile(
    r"(cells\.\d+\.(?:_ops\.\d+\.\d+\.\d+|(?:_ops|cell_ops)\.\d+(?:\.(?:_ops|m_ops)\.\d+)?|layers\.\d+"
    r"|edges\.\d+<-\d+(?:(?:\._ops)?\.\d+)?)"
    r"|features\.\d+\.\d+|blocks\.\d+\.mobile_inverted_conv\.candidate_ops\.\d+)\.(.+)"
)
"""Prefix of an op in published names, and the rest of the name."""

_RENAMED_MODULES = (
    (re.compile(r"\bconvs\.0\."), "conv_1."),
    (re.compile(r"\bconvs\.1\."), "conv_2."),
    (re.compile(r"\bop_a\.op\."), "op."),
    (re.compile(r"(cells\.\d+)\.ops1\."), r"\1.conv_branches."),
    (re.compile(r"(cells\.\d+)\.ops2\."), r"\1.pool_branches."),
    (re.compile(r"^(features\.\d+)\.\d+\.(branch_)"), r"\1.\2"),
    (re.compile(r"^classifier\.[01]\."), "classifier."),
    (re.compile(r"^stem\.conv\."), "stem.0."),
    (re.compile(r"^stem\.bn\."), "stem.1."),
)
"""Module names of AutoDL-Projects, DSNAS and the fine-tuned NoisyDARTS-A, with the names of this library."""

_STAGED_BLOCK = re.compile(r"blocks\.(\d+)\.(\d+)\.(.+)")
"""Block of a single-path network by stage and position, as in timm; here blocks are numbered consecutively."""

_SECOND_HALF = re.compile(r"\bop_b\.op\.(\d+)")
"""Second half of a double separable convolution; here its indices continue after the four modules of the first half."""

_COUNTER = "num_batches_tracked"

_PROFILER = re.compile(r"(.+\.)?total_(ops|params)")
"""Buffers that the profiler thop adds to each module."""

_SHOWN = 5


def translate_state_dict(state: Mapping[str, Tensor], network: Network) -> dict[str, Tensor]:
    """Return the tensors of a published state_dict under their names in ``network``, without checks.

    Architecture parameters and the ``module.`` of DataParallel are removed. A name without a counterpart in the
    network, or a name of this library, is kept.
    """
    state = convert_recurrent(state)
    return {ours: state[theirs] for ours, theirs in _translated_names(state, network).items()}


def load_published_weights(network: Network, state: Mapping[str, Tensor]) -> None:
    """Load a published state_dict into ``network``, a supernet or the network of a genotype.

    Batch counters (``num_batches_tracked``) may be missing, since no published network reads them. Differences that
    carry no weights cannot be detected: the source of a link, or a skip in the place of a pool.

    Raises:
        NasError: if weights are missing, unexpected or of another shape. The network is unchanged then.
    """
    foreign = [key for key, value in state.items() if not isinstance(value, Tensor)]
    if foreign:
        raise NasError(
            f"'{foreign[0]}' is not a tensor, but a state_dict maps names to tensors. "
            "Pass the part of the checkpoint with the weights, such as checkpoint['state_dict']."
        )
    state = convert_recurrent(state)
    names = _translated_names(state, network)
    own = network.state_dict()
    missing = [key for key in own if key not in names and not key.endswith(_COUNTER)]
    unexpected = [theirs for key, theirs in names.items() if key not in own]
    shapes = [
        f"{theirs} {_shape(state[theirs])} instead of {_shape(own[key])}"
        for key, theirs in names.items()
        if key in own and state[theirs].shape != own[key].shape
    ]
    problems = [_listed(*part) for part in (("missing", missing), ("unexpected", unexpected), ("shape", shapes))]
    if any(problems):
        raise NasError(
            f"weights of another architecture, size or kind of network: {'; '.join(filter(None, problems))}. "
            "Set genotype and network.* to those of the training of the weights."
        )
    network.load_state_dict({ours: state[theirs] for ours, theirs in names.items()}, strict=False)


def _translated_names(state: Mapping[str, Tensor], network: Network) -> dict[str, str]:
    """Map the names in ``network`` to the published names, in the order of ``state``."""
    ops = dict(_numbered_ops(network))
    plain = {key.removeprefix("module."): key for key in state}
    blocks = sorted({(int(match[1]), int(match[2])) for match in map(_STAGED_BLOCK.fullmatch, plain) if match})
    names: dict[str, str] = {}
    for name, key in plain.items():
        match = _STAGED_BLOCK.fullmatch(name)
        if match:
            name = f"blocks.{blocks.index((int(match[1]), int(match[2])))}.{match[3]}"
        if not _ARCHITECTURE.fullmatch(name) and not _PROFILER.fullmatch(name):
            names[_rename_modules(_rename_op(name, ops))] = key
    if isinstance(network, MobileNetV2Network):
        ours = mobile_names(names)
        names = {ours[name]: key for name, key in names.items()}
    return names


def _rename_modules(key: str) -> str:
    for theirs, ours in _RENAMED_MODULES:
        key = theirs.sub(ours, key)
    return _SECOND_HALF.sub(lambda match: f"op.{int(match[1]) + 4}", key)


def _rename_op(key: str, ops: Mapping[str, tuple[str, nn.Module]]) -> str:
    match = _NUMBERED_OP.fullmatch(key)
    if match is None or match[1] not in ops:
        return key
    prefix, module = ops[match[1]]
    rest = match[2]
    if isinstance(module, nn.Sequential):
        # DrNAS stores a pool and its batch norm in an attribute; here they are the op itself.
        rest = rest.removeprefix("op.")
    elif hasattr(module, "op") and rest[0].isdigit():
        # DARTS builds conv_7x1_1x7 as a sequence; here the sequence is an attribute of the op.
        rest = f"op.{rest}"
    return f"{prefix}.{rest}"


def _numbered_ops(network: Network) -> Iterator[tuple[str, tuple[str, nn.Module]]]:
    """Yield the published prefixes of each op, with its prefix in ``network`` and the op."""
    for path, graph in network.named_modules():
        if not isinstance(graph, CellGraph):
            continue
        cell = path.removesuffix(".graph")
        for e, (source, target) in enumerate(graph.cell.edges):
            edge = graph.get_submodule(f"edges.{graph.keys[e]}")
            ops = [op for op in graph.cell.ops if (e, op) not in graph.cell.excluded]
            parallel = graph.cell.edges[:e].count((source, target))
            for column, op in enumerate(ops):
                key = module_key(op)
                if key not in dict(edge.named_children()):
                    continue
                ours = f"{path}.edges.{graph.keys[e]}.{key}", edge.get_submodule(key)
                if cell in ("features", "chain"):
                    yield f"features.{e}.{column}", ours
                    yield f"blocks.{e + 1}.mobile_inverted_conv.candidate_ops.{column}", ours
                    continue
                yield f"{cell}._ops.{e}._ops.{column}", ours
                yield f"{cell}.cell_ops.{e}.m_ops.{column}", ours
                yield f"{cell}.edges.{target}<-{source}.{column}", ours
                yield f"{cell}.edges.{target - 2}<-{source}._ops.{column}", ours
                if len(ops) == 1:
                    yield f"{cell}._ops.{e}", ours
                    yield f"{cell}._ops.{target}.{source}.{parallel}", ours
                    yield f"{cell}.layers.{e}", ours
                    yield f"{cell}.edges.{target}<-{source}", ours


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


def _listed(kind: str, items: Sequence[str]) -> str:
    if not items:
        return ""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return f"{kind} {', '.join(items[:_SHOWN])}{more}"
