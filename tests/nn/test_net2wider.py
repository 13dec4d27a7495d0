"""Tests of Net2Wider: weights of partial edges carried over to wider ones."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from nas.architecture.cell import NONE
from nas.nn.edges.partial_channels import PartialChannels
from nas.nn.net2wider import ChannelCopies, WideningPlan, copy_widened, plan_widening, sample_copies
from nas.nn.ops import OPS, OpOptions
from nas.spaces.darts.space import Darts

DETERMINISTIC_OPS = [op for op in OPS if op != "noise"]


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("op", DETERMINISTIC_OPS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_plan_widening_maps_copies_to_copies(op: str, stride: int, training: bool, affine: bool) -> None:
    """Batch norm statistics, different for each channel, follow their channels; in float64."""
    torch.manual_seed(0)
    options = OpOptions(affine=affine, bias=True, pool_norm="affine" if affine else "plain")
    if op.startswith("nor_conv") and stride == 2:
        return
    old = PartialChannels([op], 12, stride, options, channel_divisor=3).double().train(training)
    new = PartialChannels([op], 12, stride, options, channel_divisor=1).double().train(training)
    for tensor in [*old.parameters(), *old.buffers()]:
        if tensor.is_floating_point():
            tensor.data.uniform_(0.5, 1.5)
    plan = plan_widening(nn.Sequential(old), nn.Sequential(new), torch.Generator().manual_seed(3), rescale=True)
    copy_widened(plan, nn.Sequential(old), nn.Sequential(new))
    inputs, outputs = end_channels(plan)
    x = torch.randn(3, 4, 6, 6).double()
    expected = old[op](x)
    if inputs is None:  # an identity has no tensors
        return
    got = new[op](x[:, inputs])
    assert got.shape == (3, 12, *expected.shape[2:])
    torch.testing.assert_close(got, expected[:, outputs], rtol=1e-12, atol=1e-12)
    assert not training or len(set(outputs.tolist())) == 4


def end_channels(plan: WideningPlan) -> tuple[Tensor | None, Tensor]:
    """Return the narrow channels that the input and output channels of the wide op copy."""
    tables: list[ChannelCopies] = [copies for name, copies in plan.items() if not name.endswith("bias")]
    if not tables:
        return None, torch.empty(0)
    first = tables[0]
    return (first.outputs if first.inputs is None else first.inputs), tables[-1].outputs


def test_copy_widened_without_rescale_copies_channels_unchanged() -> None:
    """Every slice equals an old slice, the first channels are the old ones, and copies add up."""
    generator = torch.Generator().manual_seed(0)
    options = OpOptions(affine=False)
    old = PartialChannels(["nor_conv_3x3"], 16, 1, options, channel_divisor=4)
    new = PartialChannels(["nor_conv_3x3"], 16, 1, options, channel_divisor=2)
    plan = plan_widening(nn.Sequential(old), nn.Sequential(new), generator)
    copy_widened(plan, nn.Sequential(old), nn.Sequential(new))
    narrow, wide = old["nor_conv_3x3"].op[1].weight, new["nor_conv_3x3"].op[1].weight  # type: ignore[union-attr, index]
    assert wide.shape == (8, 8, 3, 3) and torch.equal(wide[:4, :4], narrow)
    copies = plan["0.nor_conv_3x3.op.1.weight"]
    assert copies.inputs is not None and copies.divisor is None
    for i, source in enumerate(copies.outputs.tolist()):
        for j, channel in enumerate(copies.inputs.tolist()):
            assert torch.equal(wide[i, j], narrow[source, channel])
    assert copies.outputs[:4].tolist() == [0, 1, 2, 3] and set(copies.outputs.tolist()) <= set(range(4))


def test_sample_copies_is_uniform_after_the_old_channels() -> None:
    sources = sample_copies(4, 4004, torch.Generator().manual_seed(0))
    assert sources[:4].tolist() == [0, 1, 2, 3]
    assert all(abs(int(count) - 1001) < 150 for count in sources.bincount(minlength=4))


def test_plan_widening_covers_all_darts_ops() -> None:
    """The plan contains exactly the tensors of partial edges that have a channel dimension."""
    space = Darts((3, 8, 8), 10, channels=4, layers=3)
    old = space.supernet(partial(PartialChannels, channel_divisor=4))
    new = space.supernet(partial(PartialChannels, channel_divisor=2))
    plan = plan_widening(old, new, torch.Generator().manual_seed(0))
    copy_widened(plan, old, new)
    shapes = {name: tensor.shape for name, tensor in old.state_dict().items()}
    changed = {name for name, tensor in new.state_dict().items() if tensor.shape != shapes[name]}
    assert changed == {name for name in plan if name in shapes} and len(changed) > 500
    assert all(".edges." in name and NONE not in name for name in changed)
