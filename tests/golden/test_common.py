"""Comparison of networks with reference values, and tests that it can fail."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.architecture.cell import Architecture
from nas.deploy.published_weights import translate_state_dict
from nas.spaces.base import Network, Output
from tests.support.golden_tools import Golden, assert_golden


class Comparison:
    """Compare results with a golden and require that each of its ``outputs`` (None: all) is compared once."""

    def __init__(self, golden: Golden, outputs: Sequence[str] | None = None) -> None:
        self.golden = golden
        self.left = set(golden.entry["outputs"] if outputs is None else outputs)
        assert self.left <= set(golden.entry["outputs"])

    def equal(self, name: str, got: object) -> None:
        """Compare a result with the output ``name``, which must not have been compared before."""
        self.left.remove(name)
        assert_golden(self.golden, name, got)

    def gradients(self, network: Network, prefix: str = "", unlisted: str | None = None) -> None:
        """Compare the gradient norms of all parameters after a backward pass, -1 for no gradient.

        The reference does not list parameters whose name ends with ``unlisted``, biases that a batch norm
        cancels: their gradients must vanish.
        """
        self.left.remove(f"{prefix}param_names")
        names = our_names(self.golden.arrays[f"{prefix}param_names"].tolist(), network)
        norms = {name: norm(p.grad) for name, p in network.named_parameters()}
        rest = set(norms) - set(names)
        assert set(names) <= set(norms) and all(unlisted and name.endswith(unlisted) for name in rest)
        assert all(norms[name] < 1e-5 for name in rest)
        self.equal(f"{prefix}grad_l2", np.array([norms[name] for name in names], dtype=np.float32))

    def training_pass(
        self, network: Network, x: Tensor, y: Tensor, arch: Architecture | None, names: tuple[str, str, str]
    ) -> None:
        """Compare a pass in training mode: all gradients, and by name the logits, the loss and the stem's gradient."""
        logits = network.train()(x, arch)
        loss = F.cross_entropy(logits, y)
        loss.backward()
        for name, got in zip(names, (logits, loss, network.get_parameter("stem.0.weight").grad), strict=True):
            self.equal(name, got)
        self.gradients(network)

    def finish(self) -> None:
        """Assert that every output was compared."""
        assert not self.left, f"not compared: {sorted(self.left)}"


def norm(gradient: Tensor | None) -> float:
    """Return the L2 norm, -1 for no gradient."""
    return -1.0 if gradient is None else gradient.norm().item()


def our_names(names: Sequence[str], network: Network) -> list[str]:
    """Return the names in ``network`` of the reference parameters ``names``, in the same order."""
    found = translate_state_dict({name: torch.tensor(i) for i, name in enumerate(names)}, network)
    assert [int(i) for i in found.values()] == list(range(len(names)))
    return list(found)


class Tiny(Network):
    """Network with two parameters, one of which has a gradient of norm 5."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Parameter(torch.zeros(2))
        self.idle = nn.Parameter(torch.zeros(2))
        self.used.grad = torch.tensor([3.0, 4.0])

    def outputs(self, x: Tensor, arch: Architecture | None = None) -> Output:
        raise NotImplementedError


def comparison(names: Sequence[str], norms: Sequence[float], more: Sequence[str] = ()) -> Comparison:
    arrays = {"param_names": np.array(names), "grad_l2": np.array(norms, dtype=np.float32)}
    arrays |= {name: np.zeros(1) for name in more}
    return Comparison(Golden({"outputs": list(arrays), "tolerance": {"grad_l2": {"atol": 1e-6, "rtol": 0}}}, arrays))


class TestComparison:
    def test_comparison_accepts_equal_values(self) -> None:
        found = comparison(["idle", "used"], [-1, 5])
        found.gradients(Tiny())
        found.finish()

    @pytest.mark.parametrize(
        ("names", "norms"),
        [
            (["idle", "used"], [-1, 4.9]),
            (["idle", "used"], [0, 5]),
            (["used"], [5]),
            (["idle", "used", "more"], [-1, 5, -1]),
            (["used", "used"], [5, 5]),
        ],
    )
    def test_comparison_rejects_different_gradients(self, names: list[str], norms: list[float]) -> None:
        with pytest.raises(AssertionError):
            comparison(names, norms).gradients(Tiny())

    def test_comparison_rejects_a_gradient_that_should_vanish(self) -> None:
        comparison(["used"], [5]).gradients(Tiny(), unlisted="idle")
        with pytest.raises(AssertionError):
            comparison(["idle"], [-1]).gradients(Tiny(), unlisted="used")

    def test_comparison_rejects_a_missing_output(self) -> None:
        found = comparison(["idle", "used"], [-1, 5], more=["logits"])
        found.gradients(Tiny())
        with pytest.raises(AssertionError, match="not compared.*logits"):
            found.finish()
        found.equal("logits", torch.zeros(1))
        found.finish()

    def test_comparison_rejects_a_repeated_output(self) -> None:
        found = comparison([], [], more=["logits"])
        found.equal("logits", torch.zeros(1))
        with pytest.raises(KeyError):
            found.equal("logits", torch.zeros(1))
