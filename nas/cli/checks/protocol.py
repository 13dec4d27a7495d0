"""Check that a protocol and a genotype belong to the same space."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from nas.architecture.cell import Genotype
from nas.cli.overrides.conf_dir import CONF, group_choices
from nas.cli.overrides.hydra_internals import set_by_file
from nas.cli.overrides.parse import key_of, value_of
from nas.cli.run_dir.read_yaml import read_yaml
from nas.cli.run_dir.task_overrides import task_overrides
from nas.spaces.base import Space
from nas.spaces.darts.space import Darts
from nas.spaces.genotype_text import abbreviate
from nas.spaces.nas_bench_101.space import NasBench101
from nas.spaces.nas_bench_201.space import NasBench201
from nas.spaces.recurrent.space import Recurrent
from nas.spaces.registry import SPACES, space_of
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.spaces.single_path.shufflenet_v2 import ShuffleNetV2Space
from nas.utils.errors import NasError

GROUP = "network."
SHAPE, CLASSES = (3, 32, 32), 10  # of any images: the names of the options do not depend on them
NETWORKS: Mapping[str, type[Space]] = {
    "darts": Darts,
    "nas_bench_201": NasBench201,
    "nas_bench_101": NasBench101,
    "recurrent": Recurrent,
    "mobile": MobileNetV2Space,
    "shufflenet": ShuffleNetV2Space,
}
"""Spaces of the published protocols. If the networks of several spaces have equal options, errors name the first."""


def check_protocol(source: str, genotype: Genotype, cfg: DictConfig) -> None:
    """Raise NasError if the protocol of the running job sets options that the networks of the genotype do not have.

    Options of the command line are left out, and so are genotypes of custom spaces.

    Args:
        source: the genotype as given, for the message.
        genotype: the genotype.
        cfg: configuration of the training.
    """
    lines = task_overrides() if HydraConfig.initialized() else []
    name = value_of(lines, "protocol")
    if name in (None, "null") or genotype.space not in SPACES:
        return
    space = space_of(genotype, SHAPE, CLASSES)
    accepted, given = space.network_options(), {key_of(line) for line in lines}
    options = {str(key) for key, value in cfg.network.items() if value is not None and f"{GROUP}{key}" not in given}
    config_name = str(HydraConfig.get().job.config_name)
    keys = {key.removeprefix(GROUP) for key, _ in set_by_file(config_name, f"protocol/{name}", lines)} & options
    if keys <= set(accepted):
        return
    spaces, foreign = _spaces_with(keys), sorted(keys - set(accepted))[0]
    kind = f"it is a protocol of space={spaces}" if spaces else f"it sets {GROUP}{foreign}"
    raise NasError(
        f"protocol={name}: {kind}, and genotype={abbreviate(source)} is of space={space.name}. "
        f"{_fix(str(name), accepted)}"
    )


def _spaces_with(keys: set[str]) -> str:
    """Return the published spaces whose networks have all these options, empty if there are none."""
    names = [name for name, space in NETWORKS.items() if keys <= set(inspect.signature(space.network).parameters)]
    return " or ".join(names if "mobile" in names else names[:1])


def _fix(name: str, accepted: Sequence[str]) -> str:
    """Return advice with a published protocol of networks with the options ``accepted``, of the same data if any."""
    task = name.rpartition("_")[2]
    keys = {choice: _keys(choice) for choice in group_choices("protocol")}
    fitting = [choice for choice in keys if keys[choice] and keys[choice] <= {*accepted}]
    same = [choice for choice in fitting if choice.endswith(f"_{task}")]
    other = next(iter([*same, *fitting]), None)
    return "Leave protocol out." if other is None else f"Leave protocol out, or use another one, such as {other}."


def _keys(choice: str) -> set[str]:
    """Return the options of the network that the file of a published protocol sets."""
    return set(read_yaml(CONF / "protocol" / f"{choice}.yaml").get("network") or ())
