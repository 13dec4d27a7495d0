"""Depthwise convolution with fast gradients on a CPU."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

COLUMNS = 3
"""Widest kernel whose weight gradient oneDNN computes by vectorized code; wider kernels take 4 to 9 times the time."""


class DepthwiseConv2d(nn.Conv2d):
    """Square depthwise convolution that preserves the size or divides it by its stride.

    [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)]. Its parameters and outputs are those of ``nn.Conv2d``. Its gradients
    on a CPU are equal up to rounding, and faster (``depthwise_conv2d``).
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        padding = dilation * (kernel - 1) // 2
        super().__init__(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv2d(x, self.weight, self.stride[0], self.dilation[0])


def depthwise_conv2d(x: Tensor, weight: Tensor, stride: int = 1, dilation: int = 1) -> Tensor:
    """Convolve each channel with its own kernel, [B, C, H, W] -> [B, C, ceil(H/s), ceil(W/s)].

    The CPU kernels of oneDNN are slow in three backward passes. Faster computations of equal gradients replace them:

    - The gradients of a dilated convolution. A dilated convolution is a dense convolution of each of the
      ``dilation`` squared grids of pixels that are ``dilation`` apart. With a stride equal to the dilation only the
      first grid counts.
    - The gradient of a weight that is wider than ``COLUMNS``, which is computed in parts of that width.
    - The gradients of strided convolutions in bfloat16, which are computed in float32 and rounded. So are the other two
      in bfloat16.

    Args:
        x: features [B, C, H, W].
        weight: kernels [C, 1, K, K], K odd.
        stride: distance of the output pixels.
        dilation: distance of the taps.
    """
    kernel = weight.shape[-1]
    padding = dilation * (kernel - 1) // 2
    slow = dilation > 1 or kernel > COLUMNS or (stride > 1 and _dtype(x) == torch.bfloat16)
    if not slow or x.device.type != "cpu" or not torch.is_grad_enabled() or torch.compiler.is_exporting():
        return F.conv2d(x, weight, None, stride, padding, dilation, x.shape[1])
    out: Tensor = _DepthwiseConv.apply(x.to(_dtype(x)), weight.to(_dtype(weight)), stride, dilation)
    return out


def _dtype(x: Tensor) -> torch.dtype:
    """Return the dtype in which ``F.conv2d`` uses ``x``, so that the backward pass has one dtype."""
    autocast = x.dtype == torch.float32 and torch.is_autocast_enabled("cpu")
    return torch.get_autocast_dtype("cpu") if autocast else x.dtype


class _DepthwiseConv(torch.autograd.Function):
    """Depthwise convolution whose backward pass consists of dense depthwise convolutions; differentiable itself."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        return _conv(x, weight, stride, dilation)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, int], output: Tensor) -> None:
        """Save features and weight for both directions of differentiation."""
        x, weight, ctx.stride, ctx.dilation = inputs
        ctx.save_for_backward(x, weight)
        ctx.save_for_forward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        x, weight = ctx.saved_tensors
        dtype = torch.float32 if grad.dtype == torch.bfloat16 else grad.dtype
        tensors = grad.to(dtype), x.to(dtype), weight.to(dtype)
        dx, dw = _gradients(*tensors, ctx.stride, ctx.dilation, ctx.needs_input_grad[:2])
        dx, dw = (None if part is None else part.to(grad.dtype) for part in (dx, dw))
        return dx, dw, None, None

    @staticmethod
    def jvp(ctx: Any, x_t: Tensor | None, weight_t: Tensor | None, *_: None) -> Tensor:
        x, weight = ctx.saved_tensors
        terms = [] if x_t is None else [_conv(x_t, weight, ctx.stride, ctx.dilation)]
        terms += [] if weight_t is None else [_conv(x, weight_t, ctx.stride, ctx.dilation)]
        return terms[0] if len(terms) == 1 else terms[0] + terms[1]


# apply() inspects the signature at each call, which takes 20 microseconds unless it is stored
_DepthwiseConv.forward.__signature__ = inspect.signature(_DepthwiseConv.forward)  # type: ignore[attr-defined]


def _conv(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    return F.conv2d(x, weight, None, stride, dilation * (weight.shape[-1] - 1) // 2, dilation, x.shape[1])


def _gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int, needs_grad: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of features and weight, None if not needed."""
    if dilation == 1:
        return _dense_gradients(grad, x, weight, stride, needs_grad)
    rows, columns = x.shape[2:]
    if stride == dilation:
        dx, dw = _dense_gradients(grad, x[:, :, ::stride, ::stride], weight, 1, needs_grad)
        return None if dx is None else _dilate(dx, rows, columns, stride), dw
    if stride > 1 or rows % dilation or columns % dilation:
        return _native_gradients(grad, x, weight, stride, dilation, needs_grad)
    dx, dw = _dense_gradients(_split(grad, dilation), _split(x, dilation), weight, 1, needs_grad)
    return None if dx is None else _merge(dx, dilation), dw


def _dense_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, needs_grad: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    """Return the gradients of features and weight of a convolution without dilation, None if not needed."""
    kernel = weight.shape[-1]
    if kernel <= COLUMNS or not needs_grad[1]:
        return _native_gradients(grad, x, weight, stride, 1, needs_grad)
    dx = _native_gradients(grad, x, weight, stride, 1, (True, False))[0] if needs_grad[0] else None
    half, reach = kernel // 2, stride * (grad.shape[3] - 1)
    padded = F.pad(x, (half, half, 0, 0))
    parts = []
    for first in range(0, kernel, COLUMNS):
        part = weight[..., first : first + COLUMNS]
        columns = padded.narrow(3, first, reach + part.shape[-1])
        parts.append(_backward(grad, columns, part, stride, (half, 0), 1, (False, True))[1])
    return dx, torch.cat(parts, dim=3)  # type: ignore[arg-type]


def _native_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, dilation: int, needs_grad: Sequence[bool]
) -> tuple[Tensor | None, Tensor | None]:
    padding = dilation * (weight.shape[-1] - 1) // 2
    return _backward(grad, x, weight, stride, (padding, padding), dilation, needs_grad)


def _backward(
    grad: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    padding: tuple[int, int],
    dilation: int,
    needs_grad: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None]:
    dx, dw, _ = torch.ops.aten.convolution_backward(
        *(grad, x, weight, None, (stride, stride), padding, (dilation, dilation), False, (0, 0), x.shape[1]),
        (needs_grad[0], needs_grad[1], False),
    )
    return dx, dw


def _split(x: Tensor, step: int) -> Tensor:
    """Return the grids of pixels that are ``step`` apart, [B, C, H, W] -> [step * step * B, C, H/step, W/step]."""
    batch, channels, rows, columns = x.shape
    grids = x.permute(0, 2, 3, 1).reshape(batch, rows // step, step, columns // step, step, channels)
    shape = step * step * batch, rows // step, columns // step, channels
    return grids.permute(2, 4, 0, 1, 3, 5).reshape(shape).permute(0, 3, 1, 2)


def _merge(grids: Tensor, step: int) -> Tensor:
    """Return the features whose grids ``_split`` returns."""
    count, channels, rows, columns = grids.shape
    batch = count // step**2
    pixels = grids.permute(0, 2, 3, 1).reshape(step, step, batch, rows, columns, channels)
    return pixels.permute(2, 3, 0, 4, 1, 5).reshape(batch, rows * step, columns * step, channels).permute(0, 3, 1, 2)


def _dilate(grid: Tensor, rows: int, columns: int, step: int) -> Tensor:
    """Return zeros with ``grid`` at every ``step``-th pixel, [B, C, h, w] -> [B, C, rows, columns]."""
    batch, channels, height, width = grid.shape
    pixels = grid.permute(0, 2, 3, 1)[:, :, None, :, None]
    shape = batch, height * step, width * step, channels
    spread = F.pad(pixels, (0, 0, 0, step - 1, 0, 0, 0, step - 1)).reshape(shape)
    # narrow, because gradients with is_grads_batched=True do not support slices of a whole dimension
    return spread.narrow(1, 0, rows).narrow(2, 0, columns).permute(0, 3, 1, 2)
