"""Golden tests of published mobile networks: names, shapes and logits for weights from a formula."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from nas.deploy.published_weights import load_published_weights, translate_state_dict
from nas.nn.macs import count_macs, count_parameters
from nas.spaces.notation import parse_genotype
from nas.spaces.single_path.mobilenet_v2 import MobileNetV2Space
from nas.zoo import architectures
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, golden_names

pytestmark = pytest.mark.data


def filled(shape: tuple[int, ...], t: int, name: str, phase: float) -> Tensor:
    """Return the t-th tensor of the formula in the manifest."""
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    if len(shape) > 1:
        values = np.sqrt(3 / np.prod(shape[1:])) * np.sin(((0.7 * i * i) % 1000) + 0.9 * i + t + phase)
    elif name.endswith("running_var"):
        values = 1 + 0.4 * np.sin(1.1 * i + t + phase)
    elif name.endswith("running_mean"):
        values = 0.1 * np.sin(1.3 * i + t + phase)
    elif name.endswith("weight"):
        values = 1 + 0.3 * np.sin(1.7 * i + t + phase)
    else:
        values = 0.1 * np.sin(1.9 * i + t + phase)
    return torch.from_numpy(values.reshape(shape).astype(np.float32))


def entry_of(stored: Golden) -> tuple[architectures.PublishedArchitecture, dict[str, float]]:
    """Return the published architecture of a golden, and the options in which its network differs."""
    given = stored.entry["constructor"]
    letter = given["net"].rpartition("_")[2] if "net" in given else None
    found = architectures.get_architecture("NoisyDARTS-A" if letter is None else f"FairNAS-{letter}")
    ratio = given.get("se_ratio")
    return found, {} if ratio is None else {"squeeze": ratio}


@pytest.mark.parametrize("name", golden_names("mobile_table"))
def test_published_network_matches_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare = Comparison(stored)
    names = [str(name) for name in stored.arrays["state_names"]]
    shapes = [tuple(int(n) for n in row if n > 0) for row in stored.arrays["state_shapes"]]
    phase = stored.entry["case"]["phase"]
    state = {n: filled(s, t, n, phase) for t, (n, s) in enumerate(zip(names, shapes, strict=True))}

    x = stored.tensor("x")
    entry, options = entry_of(stored)
    classes = shapes[-1][0]
    genotype = parse_genotype(entry.genotype)
    space = MobileNetV2Space(x.shape[1:], classes)
    network = space.network(genotype, **{**entry.network, **options})
    load_published_weights(network, state)  # refuses names or shapes that differ, either way
    own = {name for name, _ in network.named_parameters()}
    parts = dict(zip(names, stored.arrays["is_parameter"], strict=True))
    assert sum(parts.values()) == len(own)
    ours = translate_state_dict(state, network)
    assert [name in own for name in ours] == [bool(is_parameter) for is_parameter in parts.values()]
    compare.left -= {"state_names", "state_shapes", "is_parameter"}
    compare.equal("num_parameters", np.int64(count_parameters(network)))
    if "conv_linear_macs" in compare.left:
        compare.equal("conv_linear_macs", np.int64(count_macs(network, (3, 224, 224))))

    means: list[list[float]] = []

    def note(module: torch.nn.Module, inputs: object, output: Tensor) -> None:
        means.append([float(output.mean()), float(output.double().std())])

    blocks = list(network.get_submodule("blocks").children())
    # FairNAS does not list the fixed block
    for block in blocks[len(blocks) - len(stored.arrays["block_mean_std"]) :]:
        block.register_forward_hook(note)
    with torch.no_grad():
        logits = network.eval()(x)
    compare.equal("block_mean_std", np.array(means, dtype=np.float32))
    compare.equal("logits", logits)
    compare.finish()
