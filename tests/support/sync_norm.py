"""Synchronized batch norm on the CPU, where ``torch.nn.SyncBatchNorm`` does not run."""

from __future__ import annotations

from typing import Any

import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SynchronizedOnCpu(nn.SyncBatchNorm):
    """SyncBatchNorm in training mode from differentiable sums over ranks, in any precision."""

    def forward(self, x: Tensor) -> Tensor:
        dims = [0, *range(2, x.dim())]
        shape = [1, -1, *(1 for _ in dims[1:])]
        count = x.numel() / x.shape[1] * dist.get_world_size()
        mean = all_reduce(x.sum(dims)) / count
        centered = x - mean.view(shape)
        variance = all_reduce(centered.square().sum(dims)) / count
        y = centered * (variance + self.eps).rsqrt().view(shape)
        return y if self.weight is None else y * self.weight.view(shape) + self.bias.view(shape)

    @classmethod
    def convert(cls, module: nn.Module) -> Any:
        """Convert the batch norms of a network as Lightning does, then compute them on the CPU."""
        converted = nn.SyncBatchNorm.convert_sync_batchnorm(module)
        for part in converted.modules():
            if type(part) is nn.SyncBatchNorm:
                part.__class__ = cls
        assert any(type(part) is cls for part in converted.modules())
        return converted
