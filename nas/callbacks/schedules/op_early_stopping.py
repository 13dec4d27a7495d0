"""Early stopping of single candidate ops (OLES)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.gradients.base import nested_gradients
from nas.gradients.clipped import Clipped
from nas.gradients.first_order import FirstOrder
from nas.nn.cell_graph import CellGraph
from nas.nn.ops import LAYERED
from nas.searches.base import Observation
from nas.searches.compatibility import single_pass_needed
from nas.searches.gradient import GradientSearch
from nas.utils.device_tensor import device_tensor
from nas.utils.errors import NasError
from nas.utils.ranges import COUNT, FINITE, check_ranges

Compared = Literal["accumulated", "validation"]
Gradients = Mapping[str, Tensor]


class WatchedOp(NamedTuple):
    """A candidate op with kernels: its place in the architecture, and the names of its weights in the supernet."""

    cell: str
    edge: int
    column: int
    kernels: tuple[str, ...]
    weights: tuple[str, ...]


def watched_ops(search: GradientSearch) -> Iterator[WatchedOp]:
    """Yield every instance of a candidate convolution. Strided skips are not watched, as in the authors' code."""
    for path, graph in search.supernet.named_modules():
        if not isinstance(graph, CellGraph):
            continue
        cell = next(name for name, cell in search.space.cells.items() if cell is graph.cell)
        for edge, key in enumerate(graph.keys):
            for op, module in graph.edges[key].named_children():
                if isinstance(module, LAYERED):
                    weights = dict(module.named_parameters(f"{path}.edges.{key}.{op}"))
                    kernels = tuple(name for name, weight in weights.items() if weight.dim() > 1)
                    yield WatchedOp(cell, edge, graph.cell.ops.index(op), kernels, tuple(weights))


def kernel_similarity(first: Tensor, second: Tensor) -> Tensor:
    """Return the mean cosine of two gradients of each of n kernels along their output channels, [n, out, ...] -> [n].

    There is one cosine for each input channel and position of the kernel, and a single one for a vector.
    """
    return F.cosine_similarity(first, second, dim=1).reshape(len(first), -1).mean(dim=1)


@check_ranges(window=COUNT, threshold=FINITE)
class OpEarlyStopping(pl.Callback):
    """Stop training a candidate op once its training and validation gradients disagree (Jiang et al., NeurIPS 2023).

    The score of a step is the mean of ``kernel_similarity`` over the kernels of an op. It compares the gradient of the
    last weight step, after clipping, with the gradient in the architecture step. An op that one of the two steps did
    not execute has no score. After ``window`` + 1 scores, an op with a sum of scores below ``threshold`` * ``window``
    is frozen for the rest of the search, as in the authors' code. Otherwise its sum restarts at 0.

    Batch norm and biases have no score, but are frozen with their op. The metric ``frozen_ops`` is the number of frozen
    ops. A decision transfers the sums from the device.

    Args:
        window: number of scores by which the sum is divided.
        threshold: smallest mean score of an op that is trained further.
        compared: "validation" compares with the gradient of the validation loss, as the paper describes. "accumulated"
            compares with the sum of this gradient and that of the weight step, as the authors' code does, because it
            does not clear gradients in between.

    Raises:
        NasError: if an option is out of range, the search has no first-order steps on validation batches, or a step is
            divided into passes.
    """

    def __init__(self, window: int = 20, threshold: float = 0.4, compared: Compared = "accumulated") -> None:
        self.window = window
        self.threshold = threshold
        self.compared = compared
        self.ops: list[WatchedOp] = []
        self.weights: Mapping[str, nn.Parameter] = {}
        self.counts: list[int] = []
        self.frozen: list[int] = []
        self.trained: list[bool] = []
        """For each op whether the last weight step executed it."""
        self.sums = torch.zeros(0)
        self.last: Gradients = {}
        """Gradients of the last weight step of an epoch, until the next weight step; part of a checkpoint."""
        self._executed: list[bool] = []

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("counts", "frozen", "trained", "sums", "last")}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name, value in state_dict.items():
            setattr(self, name, value)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        gradient = observable_gradient(pl_module)
        assert isinstance(pl_module, GradientSearch)
        ops = list(watched_ops(pl_module))
        if not ops:
            raise NasError(f"OpEarlyStopping: space={pl_module.space.name} has no candidate ops with kernels.")
        self.watch(ops, pl_module.weights, pl_module.device)
        gradient.observed = frozenset(name for op in self.ops for name in op.kernels)
        gradient.observer = self.compare
        pl_module.observers.append(self._observe)

    def watch(self, ops: list[WatchedOp], weights: Mapping[str, nn.Parameter], device: torch.device) -> None:
        """Set the ops and weights, and freeze the ops that a restored state has frozen."""
        if len(self.counts) != len(ops):
            self.counts, self.trained, self.sums = [0] * len(ops), [False] * len(ops), torch.zeros(len(ops))
        self.ops, self.weights, self.sums = ops, weights, self.sums.to(device)
        self.last = {name: grad.to(device) for name, grad in self.last.items()}
        for op in self.frozen:
            self._freeze(op)

    def _observe(self, observation: Observation) -> None:
        self._executed = [observation.arch[op.cell].active[op.edge][op.column] for op in self.ops]
        if observation.phase == "train":
            self.trained, self.last = self._executed, {}

    def compare(self, validation: Gradients) -> None:
        """Add the scores of an architecture step, given the gradients of its loss."""
        train = self.last or {n: w.grad for n in validation if (w := self.weights[n]).grad is not None}
        both = train.keys() & validation.keys()
        scored = [i for i, op in enumerate(self.ops) if self.trained[i] and self._executed[i] and both >= {*op.kernels}]
        if scored:
            self.add(train, validation, scored)

    def add(self, train: Gradients, validation: Gradients, scored: Sequence[int]) -> None:
        """Add the scores of the ops ``scored``, and freeze those that are due and below the threshold."""
        self.sums = self.sums + self.scores(train, validation, scored)
        for i in scored:
            self.counts[i] += 1
        due = [i for i in scored if self.counts[i] > self.window]
        if not due:
            return
        sums = self.sums.tolist()
        for i in due:
            if sums[i] / self.window < self.threshold:
                self.frozen.append(i)
                self._freeze(i)
            self.counts[i], sums[i] = 0, 0.0
        self.sums = self.sums.new_tensor(sums)

    def scores(self, train: Gradients, validation: Gradients, scored: Sequence[int]) -> Tensor:
        """Return the scores [ops], 0 for ops that are not in ``scored``. Kernels of one shape are compared together."""
        groups: dict[torch.Size, list[tuple[int, str]]] = {}
        for i in scored:
            for name in self.ops[i].kernels:
                groups.setdefault(train[name].shape, []).append((i, name))
        result = torch.zeros_like(self.sums)
        for members in groups.values():
            first, second = (torch.stack([grads[name] for _, name in members]) for grads in (train, validation))
            values = kernel_similarity(first, first + second if self.compared == "accumulated" else second)
            counts = device_tensor([len(self.ops[i].kernels) for i, _ in members], values.device, values.dtype)
            rows = device_tensor([i for i, _ in members], values.device)
            result = result.index_add(0, rows, (values / counts).to(result))
        return result

    def _freeze(self, op: int) -> None:
        for name in self.ops[op].weights:
            self.weights[name].requires_grad_(False)
            self.weights[name].grad = None

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.is_last_batch:
            grads = {name: self.weights[name].grad for op in self.ops for name in op.kernels}
            self.last = {name: grad.detach().clone() for name, grad in grads.items() if grad is not None}

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        pl_module.log("frozen_ops", float(len(self.frozen)), batch_size=1)


def observable_gradient(search: pl.LightningModule) -> FirstOrder:
    """Return the gradient of the architecture steps. Raises NasError if it cannot be compared with the weight steps."""
    if not isinstance(search, GradientSearch) or search.arch_step.optimizer is None or not search.arch_step.per_batch:
        raise NasError("OpEarlyStopping: the search trains no alphas on batches. Set method.arch_step.optimizer.")
    step = search.arch_step
    gradient = next(g for g in nested_gradients(step.gradient) if not isinstance(g, Clipped))
    if not isinstance(gradient, FirstOrder):
        raise NasError(
            f"OpEarlyStopping: {type(gradient).__name__} has no plain gradient of the weights. Use "
            "method.arch_step.gradient._target_=nas.gradients.first_order.FirstOrder."
        )
    if step.single_level:
        raise NasError(
            "OpEarlyStopping: both steps use the same batch, so that their gradients agree. Set "
            "method.arch_step.single_level=false."
        )
    if search.images_per_pass is not None:
        # the gradient of the passes is that of the mixing weights alone
        raise single_pass_needed("OpEarlyStopping")
    if search.staged_callbacks():
        raise NasError(
            f"OpEarlyStopping: {type(search.staged_callbacks()[0]).__name__} replaces the ops of the supernet. Remove "
            "one of the two callbacks."
        )
    return gradient
