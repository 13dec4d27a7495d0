"""Golden tests of ProxylessNAS: gradients of gates and alpha in both modes, and the rescaling of alpha."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.architecture.masks import Masks
from nas.deploy.published_weights import load_published_weights
from nas.nn.edges.binary_gates import BinaryGates
from nas.objectives.classification import Classification
from nas.relaxations.binary_gates import GateRelaxation, GateSample
from nas.spaces.base import Network
from nas.spaces.single_path.chain import chain_from_ops
from nas.spaces.single_path.chain_body import CHAIN, SKIP, MixedChain
from nas.spaces.single_path.mobilenet_v2 import OPS, MobileNetV2Space
from tests.golden.test_common import Comparison
from tests.support.golden_tools import Golden, golden_names

pytestmark = pytest.mark.data


class Sampled(GateRelaxation):
    """Relaxation with given samples and parameters."""

    def __init__(self, space: MobileNetV2Space, alpha: Tensor, chosen: Tensor, other: Tensor | None) -> None:
        super().__init__(space.cells, "all" if other is None else "two", zero_ops=[SKIP])
        self.alpha[CHAIN].data = alpha.clone()
        self.chosen = chosen
        self.pair = None if other is None else torch.stack([chosen, other], dim=1)

    def sample_gates(self, name: str, alpha: Tensor, mask: Tensor) -> GateSample:
        return self.gates(name, alpha, mask, self.chosen, self.pair)


def shortcut_gradients(network: Network) -> list[Tensor]:
    """Return a list that a backward pass fills, from last to first, with input times output gradient of each edge.

    Our candidates contain the shortcut of a layer, theirs do not. Gates differ by this number, the gradient of alpha
    does not.
    """
    found: list[Tensor] = []

    def watch(module: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        x = inputs[0].detach()

        def note(grad: Tensor) -> None:
            found.append((x * grad).sum() if x.shape == grad.shape else torch.zeros(()))

        out.register_hook(note)

    (chain,) = (module for module in network.modules() if isinstance(module, MixedChain))
    for key in chain.graph.keys:
        chain.graph.edges[key].register_forward_hook(watch)
    return found


def space_of(stored: Golden) -> MobileNetV2Space:
    """Return the stored space."""
    given = stored.entry["constructor"]
    return MobileNetV2Space(
        tuple(stored.tensor("x").shape[1:]),  # type: ignore[arg-type]
        given["classes"],
        *(OPS, given["widths"], given["cells"], given["strides"]),
        norm_eps=1e-3,
    )


def supernet(space: MobileNetV2Space, stored: Golden) -> Network:
    """Return the supernet with the stored weights."""
    network = space.supernet(BinaryGates)
    load_published_weights(network, stored.state())
    return network.train()


def path(space: MobileNetV2Space, ops: Tensor) -> Architecture:
    """Return the architecture with one op per layer."""
    return space.encode(chain_from_ops(space.notation, [OPS[int(op)] for op in ops]))


def check_gates(compare: Comparison, space: MobileNetV2Space, other: Tensor | None) -> None:
    """Compare the gradients of the gates and of alpha of one mode: all paths, or the active and one other path."""
    stored, case, masks = compare.golden, "full" if other is None else "two", Masks(space.cells)
    network = supernet(space, stored)
    relaxation = Sampled(space, stored.tensor("alpha"), stored.tensor("active"), other)
    gates = relaxation.sample(masks)[CHAIN]
    gates.op.retain_grad()
    shortcuts = shortcut_gradients(network)
    logits = network(stored.tensor("x"), {CHAIN: gates})
    loss = F.cross_entropy(logits, stored.tensor("y"))
    loss.backward()
    compare.equal(f"{case}/logits", logits)
    compare.equal(f"{case}/loss", loss)
    grad, parameter = gates.op.grad, relaxation.alpha[CHAIN]
    assert grad is not None and parameter.grad is not None and gates.measured is not None
    skips = masks.table(CHAIN)[:, OPS.index(SKIP)]
    theirs = grad - (torch.stack(shortcuts[::-1]) * skips)[:, None] * torch.tensor(gates.measured)
    compare.equal(f"{case}/grad_gate", theirs * torch.tensor(gates.measured))
    compare.equal(f"{case}/grad_alpha", parameter.grad)
    compare.equal(f"{case}/has_alpha_grad", np.array([int(any(row)) for row in gates.measured]))
    if other is not None:
        parameter.data -= stored.entry["constructor"]["step"] * parameter.grad
        relaxation.finish_step(masks)
        compare.equal("two/alpha_after_sgd_and_rescale", parameter)


@pytest.mark.parametrize("name", golden_names("mobile_proxyless"))
def test_gates_match_the_authors(golden: Callable[[str], Golden], name: str) -> None:
    stored = golden(name)
    compare, space, x = Comparison(stored), space_of(stored), stored.tensor("x")
    assert [len(space.cells[CHAIN].choices(e)) for e in range(len(space.layers))] == stored.arrays["n_choices"].tolist()
    network = supernet(space, stored)
    logits = network(x, path(space, stored.tensor("active")))
    loss = Classification(label_smoothing=0.1).loss(logits, stored.tensor("y"))
    loss.backward()
    compare.equal("single/logits", logits)
    compare.equal("single/loss", loss)
    compare.equal("single/grad_stem", network.get_parameter("conv_stem.weight").grad)
    compare.gradients(network, "single/")
    index = stored.tensor("alpha").masked_fill(~Masks(space.cells).table(CHAIN), -torch.inf).argmax(dim=-1)
    compare.equal("chosen/index", index)
    with torch.no_grad():
        compare.equal("chosen/eval_logits", network.eval()(x, path(space, index)))
    for other in (None, stored.tensor("inactive")):
        check_gates(compare, space, other)
    compare.finish()
