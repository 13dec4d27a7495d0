"""WRCor (Jing et al., 2025): correlation of activations and of gradients between images, weighted by depth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.activation_checkpointing import cells_of
from nas.nn.restored_state import temporary_hooks
from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.proxies.pruned import unpruned
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(batch_size=COUNT)
class WrCor(Proxy):
    """log |det K| of a sum of correlation matrices of the images, over all activations.

    The terms are |R(activation)| + |R(gradient)| with Pearson correlations R [images, images] of the inputs of a ReLU
    and of the gradients of the loss in them. The weight of cell i is 2^i, and that of the last activation after n
    cells 2^n. Of that one the rectified features count, as in the authors' code. Terms with an undefined correlation
    are left out. The score is -inf if K is singular.

    Args:
        batch_size: number of images.
        also: class names of further modules that count like a ReLU. The authors select modules whose class name has
            "ReLU", which includes ReLUConvBN: ["ReluConvNorm"] here. Its gradient is that in the input of its batch
            norm.
    """

    name = "wrcor"
    min_images = 2

    def __init__(self, batch_size: int = 64, also: Sequence[str] = ()) -> None:
        self.batch_size = batch_size
        self.also = tuple(also)

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        value = torch.linalg.slogdet(self.kernel(network, batch))
        return float(value.logabsdet) if bool(value.sign != 0) else float("-inf")

    def kernel(self, network: nn.Module, batch: Batch) -> Tensor:
        """Return K, float64 [images, images]. Raises ValueError if the cells of the network have no ReLU."""
        records: list[_Record] = []
        hooks = [
            hook
            for weight, module, is_last in self._weighted(network)
            for hook in _watch(module, weight, records, rectified=is_last)
        ]
        with temporary_hooks(hooks), stateless_forward(network) as forward:
            loss = F.cross_entropy(forward(batch[0].detach().requires_grad_()), batch[1])
            if not records:
                raise ValueError("the proxy measures ReLUs in cells, and this network has none")
            # the features of a node without inputs are constant
            differentiable = [record for record in records if record.output.requires_grad]
            outputs = [record.output for record in differentiable]
            grads = torch.autograd.grad(loss, outputs, allow_unused=True)
        kernel = torch.zeros(len(batch[1]), len(batch[1]), dtype=torch.float64, device=batch[0].device)
        for record in records:
            kernel += _term(record.activation, record.weight)
        for record, grad in zip(differentiable, grads, strict=True):
            if grad is not None:
                kernel += _term(grad * (record.activation > 0) if record.rectifies else grad, record.weight)
        return kernel

    def _weighted(self, network: nn.Module) -> Iterator[tuple[float, nn.Module, bool]]:
        """Yield the counted modules with the weight of their cell, and whether they follow the last cell."""
        network = unpruned(network)
        last = getattr(network, "lastact", None)
        parts = [*cells_of(network), *([last] if isinstance(last, nn.Module) else [])]
        for i, part in enumerate(parts):
            for module in part.modules():
                if isinstance(module, nn.ReLU) or type(module).__name__ in self.also:
                    yield 2.0**i, module, part is last


def _term(features: Tensor, weight: float) -> Tensor:
    """Return ``weight`` times the absolute correlations of the images, or 0 if one of them is undefined."""
    correlation = torch.corrcoef(features.flatten(1).double()).abs()
    return torch.where(correlation.isfinite().all(), weight * correlation, 0.0)


class _Record:
    """Tensors of one call of a module: its input, and the tensor whose gradient counts."""

    def __init__(self, weight: float, activation: Tensor, rectifies: bool) -> None:
        self.weight = weight
        self.activation = activation.detach()
        self.rectifies = rectifies
        self.output = activation


def _watch(
    module: nn.Module, weight: float, records: list[_Record], rectified: bool
) -> Iterator[torch.utils.hooks.RemovableHandle]:
    """Record the calls of a module. ``rectified`` records the output of a ReLU in place of its input."""
    if isinstance(module, nn.ReLU):

        def save(relu: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            record = _Record(weight, output if rectified else inputs[0], rectifies=True)
            record.output = output.view_as(output)  # a new tensor: ops may share the output of a node
            records.append(record)
            return record.output

        yield module.register_forward_hook(save)
        return
    started: list[_Record] = []
    norm = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)][-1]

    def start(composite: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        started.append(_Record(weight, inputs[0], rectifies=False))

    def finish(part: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        started[-1].output = inputs[0]
        records.append(started.pop())

    yield module.register_forward_pre_hook(start)
    yield norm.register_forward_pre_hook(finish)
