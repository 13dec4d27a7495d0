"""Runtimes whose latency is measured: PyTorch and ONNX Runtime."""

from __future__ import annotations

import importlib.util
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from nas.deploy.export import without_exporter_logs
from nas.utils.errors import NasError

DTYPES: Mapping[str, torch.dtype] = {"32": torch.float32, "16": torch.float16, "bf16": torch.bfloat16}
"""Precisions of the weights and activations by name."""


class Runner(ABC):
    """Prepares modules for repeated passes on a device."""

    @abstractmethod
    def prepare(self, module: nn.Module, inputs: Sequence[Tensor]) -> Callable[[], object]:
        """Return a function that runs one pass of a module in evaluation mode on float32 inputs."""

    def synchronize(self) -> None:  # noqa: B027, a CPU needs no synchronization
        """Wait for the device."""


class TorchRunner(Runner):
    """Passes in PyTorch without gradients, on a device and in a precision.

    Raises:
        NasError: if the device is not available.
    """

    def __init__(self, device: str = "cpu", precision: str = "32") -> None:
        try:
            self.device = torch.device(device)
            torch.zeros(1, device=self.device)
        except (RuntimeError, AssertionError):
            raise NasError(
                f"device={device}: PyTorch {torch.__version__} has no such device. Set device=cpu."
            ) from None
        self.dtype = DTYPES[precision]

    def prepare(self, module: nn.Module, inputs: Sequence[Tensor]) -> Callable[[], object]:
        module.eval().requires_grad_(False).to(self.device, self.dtype)
        moved = [x.to(self.device, self.dtype) for x in inputs]

        def run() -> object:
            with torch.inference_mode():
                return module(*moved)

        return run

    def synchronize(self) -> None:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)


class OnnxRunner(Runner):
    """Passes in ONNX Runtime on the CPU or a GPU; each module is exported to an ONNX graph of a fixed batch.

    Args:
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: threads of an op; None is ONNX Runtime's choice.

    Raises:
        NasError: if ONNX Runtime does not run on the device, or a package or the execution provider is missing.
    """

    def __init__(self, device: str = "cpu", threads: int | None = None) -> None:
        known = re.fullmatch(r"cpu|cuda(?::(\d+))?", device)
        if known is None:
            raise NasError(
                f"device={device}: backend=onnxruntime runs on cpu, cuda and cuda:N. Set device=cpu, or backend=torch."
            )
        missing = [name for name in ("onnx", "onnxscript", "onnxruntime") if importlib.util.find_spec(name) is None]
        if missing:
            raise NasError(
                f"backend=onnxruntime: needs {', '.join(missing)}. Run pip install 'nas-compose[export]', or set "
                "backend=torch."
            )
        import onnxruntime

        self.provider = "CPUExecutionProvider" if device == "cpu" else "CUDAExecutionProvider"
        if self.provider not in onnxruntime.get_available_providers():
            raise NasError(
                f"device={device}: ONNX Runtime has no {self.provider}. Set device=cpu, or install onnxruntime-gpu."
            )
        self.device, self.threads = device, threads
        self.options = {} if device == "cpu" else {"device_id": known[1] or "0"}

    def prepare(self, module: nn.Module, inputs: Sequence[Tensor]) -> Callable[[], object]:
        import onnxruntime

        names = [f"x{number}" for number in range(len(inputs))]
        with without_exporter_logs():
            program = torch.onnx.export(
                module.eval(), tuple(inputs), input_names=names, output_names=["y"], dynamo=True, verbose=False
            )
        assert program is not None
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.inter_op_num_threads = 1
        if self.threads is not None:
            options.intra_op_num_threads = self.threads
        content = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, options, providers=[(self.provider, self.options)])
        if self.provider not in session.get_providers():  # it falls back to the CPU
            raise NasError(f"device={self.device}: ONNX Runtime cannot use it. Set device=cpu, or backend=torch.")
        feed = {name: x.numpy() for name, x in zip(names, inputs, strict=True)}
        return lambda: session.run(["y"], feed)
