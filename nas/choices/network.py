"""Networks of a user's model: the supernet with all options, and the network of a genotype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from nas.architecture.cell import Architecture
from nas.choices.choice_module import ChoiceModule
from nas.choices.costs import option_costs
from nas.nn.edges.mixed import unbind_rows
from nas.spaces.base import Network, Output, Shape
from nas.utils.errors import NasError


class ModelNetwork(Network):
    """A model from images [B, C, H, W] to logits [B, classes], or to an ``Output``, as a network of this package.

    Args:
        model: the user's model, in which all choices are replaced.
        owner: description of the model, for messages.
    """

    def __init__(self, model: nn.Module, owner: str) -> None:
        super().__init__()
        self.model = model
        self.owner = owner

    def outputs(self, x: Any, arch: Architecture | None = None) -> Output:
        output = self.model(x)
        if isinstance(output, Output):
            return output
        if not isinstance(output, Tensor):
            raise NasError(f"{self.owner}: forward returns {type(output).__name__}. Return logits [B, classes].")
        return Output(output, output)

    def use_batch_statistics(self) -> None:
        self.train()
        for module in self.modules():
            if isinstance(module, _DropoutNd):
                module.eval()


class ModelSupernet(ModelNetwork):
    """A model with choices, which mix their options by the rows of an architecture.

    Args:
        model: the user's model.
        owner: description of the model, for messages.
        choices: its choices, with their decisions.
        shape: (C, H, W) of an image.
    """

    def __init__(self, model: nn.Module, owner: str, choices: Sequence[ChoiceModule], shape: Shape) -> None:
        super().__init__(model, owner)
        self.choices = tuple(choices)
        self.shape = shape

    def outputs(self, x: Any, arch: Architecture | None = None) -> Output:
        if arch is None:
            raise NasError(f"{self.owner}: a supernet needs an architecture. Call it as supernet(images, arch).")
        rows = {name: unbind_rows(weights) for name, weights in arch.items()}
        try:
            for choice in self.choices:
                choice.rows = rows[choice.decision]
            return super().outputs(x)
        finally:
            for choice in self.choices:
                choice.rows = None

    def op_costs(self) -> Mapping[str, Tensor]:
        """Return the costs of all options by decision, [3, choices of the decision, edges, ops]."""
        return option_costs(self, self.choices, self.shape)
