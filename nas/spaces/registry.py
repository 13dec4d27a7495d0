"""Registry of spaces by notation, custom spaces included; builds the space of a given genotype."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from nas.architecture.cell import NONE, Genotype
from nas.nn.custom_ops import check_known_ops
from nas.spaces import choices_notation
from nas.spaces.base import Shape, Space
from nas.spaces.custom_spaces import CUSTOM_SPACES, build_custom_space
from nas.spaces.darts.notation import DARTS_OPS, NODES
from nas.spaces.darts.space import Darts
from nas.spaces.nas_bench_1shot1.space import NasBench1Shot1
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.nats_size.notation import WIDTHS, widths_of
from nas.spaces.nats_size.space import NatsSize
from nas.spaces.recurrent.notation import CELL
from nas.spaces.recurrent.notation import NODES as RECURRENT_NODES
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space, space_for
from nas.spaces.single_path.shufflenet_v2 import OPS, ShuffleNetV2Space
from nas.spaces.trans_nas_bench_101.macro import TransNasBench101Macro
from nas.spaces.trans_nas_bench_101.micro import TransNasBench101Micro
from nas.utils.errors import NasError, unknown
from nas.utils.own_parts import missing_part

MAX_NODES = 100


def _darts(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """Build the published space, extended by the genotype's ops, nodes, ``none`` links or fixed reduction."""
    links = [link for cell in genotype.cells.values() for link in cell.links]
    used_ops = {link.op for link in links}
    check_known_ops(sorted(used_ops), genotype.origins, "genotype")
    nodes = max([len(NODES), *(link.target - 1 for link in links)])
    if nodes > MAX_NODES:
        raise NasError(f"genotype: a cell with {nodes} nodes, and at most {MAX_NODES} are supported.")
    return Darts(
        shape,
        classes,
        ops=(*DARTS_OPS, *sorted(used_ops - set(DARTS_OPS))),
        nodes=nodes,
        repeats=True,
        keeps_none=NONE in used_ops,
        fixed_reduction="reduce" not in genotype.cells,
    )


def _nats_size(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """Build the space with the benchmark's widths and the further widths of the genotype."""
    return NatsSize(shape, classes, widths=sorted({*WIDTHS, *widths_of(genotype)}))


def _recurrent(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """Build the published space, or one with the nodes of the genotype, such as the 11 nodes of ENAS."""
    nodes = len(genotype.cells[CELL].links) if CELL in genotype.cells else RECURRENT_NODES
    return Recurrent(shape, classes, nodes=nodes)


SPACES: Mapping[str, Callable[[Genotype, Shape, int], Space]] = {
    Darts.notation: _darts,
    NasBench101.notation: lambda genotype, shape, classes: NasBench101(shape, classes),
    NasBench1Shot1.notation: NasBench1Shot1.of_genotype,
    NasBench201.notation: lambda genotype, shape, classes: NasBench201(shape, classes),
    NatsSize.notation: _nats_size,
    Recurrent.notation: _recurrent,
    MobileNetV2Space.notation: space_for,
    ShuffleNetV2Space.notation: lambda genotype, shape, classes: ShuffleNetV2Space(shape, classes, OPS),
    TransNasBench101Macro.notation: lambda genotype, shape, classes: TransNasBench101Macro(shape, classes),
    TransNasBench101Micro.notation: lambda genotype, shape, classes: TransNasBench101Micro(shape, classes),
}
"""Builder (genotype, shape, classes) of a space, by its notation."""


def space_of(genotype: Genotype, shape: Shape, classes: int) -> Space:
    """Build the space of a genotype for images of ``shape`` (C, H, W) and ``classes`` classes.

    A custom space is one in use or of an installed package. Nothing that a file names is imported.

    Raises NasError if no space has the genotype's notation.
    """
    if genotype.space in SPACES:
        return SPACES[genotype.space](genotype, shape, classes)
    custom = CUSTOM_SPACES.find(genotype.space)
    if custom is not None:
        return build_custom_space(custom, genotype, shape, classes)
    if genotype.space == choices_notation.NOTATION:
        origin = genotype.origins.get(genotype.space)
        model = "a user-defined model" if origin is None else f"the model {origin.target}"
        raise NasError(
            f"genotype: its parts are those of {model}. Add space=choices space.model=PACKAGE.MODULE:NAME, or in "
            "Python own_parts=[nas.choices.own_part(Model)]."
        )
    if genotype.space in genotype.origins:
        raise missing_part("genotype", "space", genotype.space, genotype.origins[genotype.space])
    raise unknown("space of the genotype", genotype.space, [*SPACES, *CUSTOM_SPACES.names()])
