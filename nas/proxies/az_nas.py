"""Expressivity, progressivity and trainability of features (AZ-NAS: Lee and Ham, CVPR 2024)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nas.nn.activation_checkpointing import cells_of
from nas.nn.restored_state import temporary_hooks
from nas.proxies.proxy import Batch, Proxy, stateless_forward
from nas.proxies.pruned import unpruned
from nas.utils.ranges import COUNT, check_ranges


@check_ranges(batch_size=COUNT)
class Expressivity(Proxy):
    """Sum of the entropies of the features behind the stem and each cell (``feature_entropy``), on Gaussian noise.

    The weights are those of a Kaiming normal initialization, and batch norm has scale 1 and shift 0.

    Args:
        batch_size: number of images of noise.
    """

    name = "expressivity"
    min_images = 2

    def __init__(self, batch_size: int = 64) -> None:
        self.batch_size = batch_size

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        x = _normal(batch[0], generator)
        found = [feature_entropy(f) for f in features(network, x, kaiming_weights(network, generator))]
        return self.of_entropies(torch.stack(found))

    def of_entropies(self, entropies: Tensor) -> float:
        """Return the score of the entropies of successive features, -inf if a feature is constant."""
        return _lowest_if_undefined(entropies.sum())


class Progressivity(Expressivity):
    """Smallest increase of the entropy from one feature to the next, measured as ``Expressivity``."""

    name = "progressivity"

    def of_entropies(self, entropies: Tensor) -> float:
        return _lowest_if_undefined(entropies.diff().min())


class Trainability(Expressivity):
    """Mean over cells of 2 - s - 1 / s, with the spectral norm s of the backward pass (``block_spectra``).

    It is close to 0 if gradients keep their size, and negative otherwise; minus infinity with an identity as a cell. A
    cell whose output does not depend on its input has s = 0.
    """

    name = "trainability"

    def __call__(self, network: nn.Module, batch: Batch, generator: torch.Generator) -> float:
        x = _normal(batch[0], generator)
        found = features(network, x, kaiming_weights(network, generator), gradients=True)
        signs = [torch.randint(0, 2, f.shape, generator=generator).to(f) * 2 - 1 for f in reversed(found[1:])]
        return _lowest_if_undefined(trainability(block_spectra(found, signs)))


def trainability(spectra: Tensor) -> Tensor:
    """Return the mean of 2 - s - 1 / (s + 1e-6) over spectral norms s."""
    return (2 - spectra - 1 / (spectra + 1e-6)).mean()


def features(network: nn.Module, x: Tensor, state: dict[str, Tensor], gradients: bool = False) -> list[Tensor]:
    """Return the features [B, C, H, W] behind the stem and behind each cell, by parameters ``state``.

    Raises:
        ValueError: if the network has no cells.
    """
    found: list[Tensor] = []
    cells = cells_of(unpruned(network))
    if not cells:
        raise ValueError("the proxy measures the cells of a network, in an nn.ModuleList, and this network has none")

    def save_input(cell: nn.Module, inputs: Sequence[Tensor] | Sequence[Sequence[Tensor]]) -> None:
        first = inputs[0]
        found.append(first if isinstance(first, Tensor) else first[0])

    def save_output(cell: nn.Module, inputs: object, output: Tensor | dict[int, Tensor]) -> None:
        feature = output if isinstance(output, Tensor) else output[max(output)]
        found.append(feature if feature.requires_grad else feature.requires_grad_(gradients))

    hooks = [cells[0].register_forward_pre_hook(save_input)]
    hooks += [cell.register_forward_hook(save_output) for cell in cells]
    with temporary_hooks(hooks), stateless_forward(network, state) as forward, torch.set_grad_enabled(gradients):
        forward(x.requires_grad_(gradients))
    return found


def _lowest_if_undefined(score: Tensor) -> float:
    """Return a score, -inf in place of NaN, as in the authors' code."""
    return float("-inf") if bool(score.isnan()) else float(score)


def feature_entropy(feature: Tensor) -> Tensor:
    """Return the entropy, in nats, of the normalized spectrum of the covariance of channels of [B, C, H, W]."""
    rows = feature.detach().transpose(0, 1).flatten(1).double()
    rows = rows - rows.mean(dim=1, keepdim=True)
    spectrum = torch.linalg.eigvalsh(rows @ rows.T / rows.shape[1]).clamp_min(0.0)
    share = spectrum / spectrum.sum()
    return -(share * (share + 1e-8).log()).sum()


def block_spectra(found: Sequence[Tensor], signs: Sequence[Tensor]) -> Tensor:
    """Return the spectral norm of the backward pass of each block, from the last to the first.

    It is the largest singular value of the mean over positions of u v^T. v is a random sign for each output of the
    block, and u is its gradient in the input. Where the resolution falls, the pixels of u become channels. The norm of
    an identity, u = v, counts as infinite: its gradients keep their size, but it has nothing to train.

    Args:
        found: features behind the stem and each block.
        signs: v for each block, from the last to the first.
    """
    norms = []
    pairs = list(zip(found[:-1], found[1:], strict=True))
    for (before, after), v in zip(reversed(pairs), signs, strict=True):
        (gradient,) = torch.autograd.grad(after, before, v, retain_graph=True, allow_unused=True)
        u = torch.zeros_like(before) if gradient is None else gradient
        if torch.equal(u, v):
            norms.append(u.new_tensor(float("inf")))
            continue
        u = F.pixel_unshuffle(u, u.shape[-1] // v.shape[-1])
        left, right = (part.transpose(0, 1).flatten(1) for part in (u, v))
        norms.append(torch.linalg.matrix_norm(left @ right.T / right.shape[1], ord=2))
    return torch.stack(norms)


def kaiming_weights(network: nn.Module, generator: torch.Generator) -> dict[str, Tensor]:
    """Return Kaiming normal weights of convolutions and linear layers; other parameters as in a new batch norm."""
    state: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            scale = (2 / module.weight[0].numel()) ** 0.5
            state[f"{name}.weight"] = scale * _normal(module.weight, generator)
        elif isinstance(module, nn.BatchNorm2d) and module.affine:
            state[f"{name}.weight"] = torch.ones_like(module.weight)
        if getattr(module, "bias", None) is not None:
            state[f"{name}.bias"] = torch.zeros_like(module.bias)
    return state


def _normal(like: Tensor, generator: torch.Generator) -> Tensor:
    found = torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype)
    return found.to(like.device)
