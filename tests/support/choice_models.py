"""Models with choices for tests."""

from __future__ import annotations

from torch import Tensor, nn

from nas.choices import Choice, InputChoice, Repeat, Width, Zero


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return a convolution with batch norm and ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


class Block(nn.Module):
    """A residual block with a choice of the kernel and of the inner width."""

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.conv = Choice({f"conv{k}": conv(channels, channels, k) for k in (1, 3)}, name="kernel")
        last = nn.Sequential(nn.Conv2d(widths[-1], channels, 1, bias=False), nn.BatchNorm2d(channels))
        self.inner = Width(conv(channels, widths[-1], 3), widths, into=last)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(self.conv(x))


class Net(nn.Module):
    """A small model with each kind of choice: a choice, a nested choice, depth, widths and inputs."""

    def __init__(self, shape: tuple[int, int, int], classes: int, width: int = 4) -> None:
        super().__init__()
        nested = nn.Sequential(conv(shape[0], width, 1), Choice({"id": nn.Identity(), "tanh": nn.Tanh()}, name="act"))
        self.stem = Choice({"conv3": conv(shape[0], width, 3), "nested": nested}, name="stem")
        self.blocks = Repeat(lambda: Block(width, (2, 3, 6)), depths=(1, 2), name="depth")
        self.merge = InputChoice(3, keep=2, name="merge")
        self.wide = Width(conv(width, 2 * width, 3, 2), (width, 2 * width), name="wide")
        ops = {"none": Zero(), "skip": nn.Identity(), "conv": conv(2 * width, 2 * width, 1)}
        self.node = InputChoice(2, keep=1, candidates=[ops, {"skip": nn.Identity()}], name="node")
        self.classifier = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = self.blocks(x)
        x = self.wide(self.merge([x, y, x * y]))
        x = self.node([x, x.relu()])
        return self.classifier(x.mean(dim=(2, 3)))
