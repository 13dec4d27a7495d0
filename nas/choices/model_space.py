"""Search space of the choices inside a user-defined model."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nas.architecture.cell import Cell, EdgeWeights, Genotype
from nas.choices.choice_module import ChoiceModule
from nas.choices.model_factory import Model, ModelFactory
from nas.choices.model_tree import derive, find_choices
from nas.choices.network import ModelNetwork, ModelSupernet
from nas.nn.edges.mixed import EdgeFactory, MixedEdge
from nas.spaces import choices_notation
from nas.spaces.base import Network, Probe, Shape, Space
from nas.utils.errors import NasError, one_line


class ModelSpace(Space):
    """The architectures of a user's model: one cell type for each decision, with the name of the decision.

    ``supernet`` mixes the options of all choices. ``network`` builds the model again, and replaces each choice by the
    chosen parts. A decision of a choice that lies within an option which is not chosen has no effect.

    Args:
        shape: (C, H, W) of an image.
        classes: number of classes.
        model: class or function (shape, classes, **options) -> module, or its dotted name.
        options: further keyword arguments of the model.
        name: of the space in messages and run directories.

    Raises:
        NasError: if the model cannot be built, has no choices or contradicting ones, or does not return logits.
    """

    notation = choices_notation.NOTATION
    mixes_ops = False

    def __init__(
        self,
        shape: Shape,
        classes: int,
        model: Model | None = None,
        options: Mapping[str, Any] | None = None,
        name: str = "choices",
    ) -> None:
        super().__init__(name, shape, classes)
        self.factory = ModelFactory(model, options)
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            supernet = self._supernet()
            if not supernet.choices:
                raise NasError(
                    f"{self.factory.owner}: the model has no choices. Put a Choice, Repeat, Width or InputChoice of "
                    "nas.choices into it."
                )
            self.cells: Mapping[str, Cell] = {choice.decision: choice.cell() for choice in supernet.choices}
            self._check_forward(supernet)

    def supernet(self, edge: EdgeFactory = MixedEdge) -> Network:
        """Build the model with all options. Raises NasError if ``edge`` is not a plain ``MixedEdge``."""
        self.check_edge(edge)
        supernet = self._supernet()
        for choice in supernet.choices:
            choice.add_inactive = bool(_options_of(edge).get("add_inactive"))
        return supernet

    def network(self, genotype: Genotype) -> Network:
        """Build the model with the chosen parts and new initial weights."""
        self.check(genotype)
        model, _ = self._model()
        return ModelNetwork(derive(model, genotype.cells), self.factory.owner)

    def inherit(self, genotype: Genotype, supernet: Network) -> Network:
        """Build the model with the chosen parts and copies of their weights in a supernet, such as a trained one."""
        self.check(genotype)
        if not isinstance(supernet, ModelSupernet):
            raise NasError(f"{self.factory.owner}: weights come from a supernet of this space, not {type(supernet)}.")
        model, _ = self._model()
        state = supernet.model.state_dict()
        like = next((value for value in state.values() if value.is_floating_point()), torch.zeros(()))
        model.to(like.device, like.dtype).load_state_dict(state)
        return ModelNetwork(derive(model, genotype.cells), self.factory.owner)

    def child_weights(self, genotype: Genotype, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self.check(genotype)
        model, _ = self._model()
        try:
            model.load_state_dict({name.removeprefix("model."): value for name, value in state.items()})
        except RuntimeError as error:
            raise NasError(
                f"{self.factory.owner}: the weights are of another model ({one_line(error)[:300]})."
            ) from None
        return ModelNetwork(derive(model, genotype.cells), self.factory.owner).state_dict()

    def probe(self, kind: Probe, genotype: Genotype | None = None) -> Network:
        """Build the network of a genotype itself for the "ntk" probe: a user's model has no thin version."""
        if kind != "ntk" or genotype is None:
            raise NasError(
                f"{self.factory.owner}: the proxy linear_regions and method=te_nas need thin networks of cells. Use "
                "another proxy or method."
            )
        return self.network(genotype)

    def check_edge(self, edge: EdgeFactory) -> None:
        factory = getattr(edge, "func", edge)
        if factory is not MixedEdge:
            raise NasError(
                f"method.edge={getattr(factory, '__name__', factory)}: the options of {self.factory.owner} are modules "
                "of their own, not ops on edges. Use a method with plain edges, such as method=darts."
            )

    def check(self, genotype: Genotype) -> None:
        super().check(genotype)
        for name, cell in self.cells.items():
            links = genotype.cells[name].links
            if not links or (len(cell.edges) == 1 and len(links) > 1):
                few = "one option" if len(cell.edges) == 1 else "at least one input"
                raise NasError(f"genotype: '{name}' has {len(links)} links. {self.factory.owner} takes {few} there.")

    def reads_input(self, genotype: Genotype) -> bool:
        """Return whether the outputs of the network depend on its images."""
        x = torch.randn(2, *self.shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):
            network = self.network(genotype)
            total = network(x).square().sum()
            if not total.requires_grad:
                return False
            (grad,) = torch.autograd.grad(total, x, allow_unused=True)
        return grad is not None and bool(grad.any())

    def native(self, genotype: Genotype) -> str:
        return choices_notation.native(genotype)

    def parse(self, text: str) -> Genotype:
        return choices_notation.parse(text)

    def _model(self) -> tuple[nn.Module, list[ChoiceModule]]:
        """Build the user's model, and return it with its choices, which have their decisions."""
        model = self.factory(self.shape, self.classes)
        return model, find_choices(model, self.factory.owner)

    def _supernet(self) -> ModelSupernet:
        model, choices = self._model()
        return ModelSupernet(model, self.factory.owner, choices, self.shape)

    def _check_forward(self, supernet: ModelSupernet) -> None:
        """Raise NasError if the model fails on two images, or does not return their logits."""
        arch = {
            name: EdgeWeights(torch.full((len(cell.edges), len(cell.ops)), 1 / len(cell.ops)), cell.allowed().tolist())
            for name, cell in self.cells.items()
        }
        owner, images = self.factory.owner, torch.zeros(2, *self.shape)
        try:
            with torch.no_grad():
                logits = supernet.eval()(images, arch)
        except NasError:
            raise
        except Exception as error:  # whatever the code of the user raises
            raise NasError(
                f"{owner}: forward fails on images {list(images.shape)} ({type(error).__name__}: "
                f"{one_line(error)[:300]})."
            ) from error
        if logits.shape != (2, self.classes):
            raise NasError(
                f"{owner}: forward returns {list(logits.shape)} for 2 images and {self.classes} classes. Return logits "
                "[B, classes], with the arguments shape and classes of the model."
            )


def space(model: Model, shape: Shape, classes: int, **options: Any) -> ModelSpace:
    """Return the search space of the choices inside a model.

    Args:
        model: class or function (shape, classes, **options) -> module, or its dotted name.
        shape: (C, H, W) of an image.
        classes: number of classes.
        options: further keyword arguments of the model.

    Raises:
        NasError: see ``ModelSpace``.
    """
    return ModelSpace(shape, classes, model, options)


def own_part(model: Model, **options: Any) -> partial[ModelSpace]:
    """Return the space of a model for ``own_parts`` of ``nas.load``, which reads a trained network of it.

    Args:
        model: class or function (shape, classes, **options) -> module, or its dotted name.
        options: further keyword arguments of the model.
    """
    return partial(ModelSpace, model=model, options=options)


def _options_of(edge: EdgeFactory) -> Mapping[str, Any]:
    options: Mapping[str, Any] = getattr(edge, "keywords", {})
    return options
