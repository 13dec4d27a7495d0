"""Runners: one pass of a module on PyTorch and on ONNX Runtime."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.latency.backends import OnnxRunner, TorchRunner
from nas.latency.measure import build_runner
from nas.latency.parts import SummedEdge
from nas.latency.table import LatencySetup
from nas.utils.errors import NasError


def module() -> nn.Module:
    return nn.Sequential(nn.ReLU(), nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.9))


def test_torch_runner_runs_in_evaluation_mode_without_gradients() -> None:
    network, x = module(), torch.randn(2, 3, 6, 6)
    run = TorchRunner().prepare(network, [x])
    first, second = run(), run()
    assert isinstance(first, torch.Tensor) and isinstance(second, torch.Tensor)
    assert torch.equal(first, second) and not first.requires_grad
    half = TorchRunner(precision="bf16").prepare(module(), [x])()
    assert isinstance(half, torch.Tensor) and half.dtype == torch.bfloat16


def test_onnx_runner_computes_the_output_of_the_module() -> None:
    pytest.importorskip("onnxruntime"), pytest.importorskip("onnxscript")
    edge = SummedEdge(nn.Conv2d(3, 4, 3, padding=1)).eval()
    x, node = torch.randn(2, 3, 6, 6), torch.randn(2, 4, 6, 6)
    (found,) = OnnxRunner(threads=1).prepare(edge, [x, node])()  # type: ignore[misc]
    with torch.no_grad():
        assert torch.allclose(torch.from_numpy(found), node + edge.edge(x), atol=1e-5)


def test_onnx_runner_takes_the_number_of_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    given: list[list[tuple[str, dict[str, str]]]] = []

    class Session:
        def __init__(self, content: bytes, options: object, providers: list[tuple[str, dict[str, str]]]) -> None:
            given.append(providers)

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"] if len(given) < 3 else ["CPUExecutionProvider"]

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    for device in ("cuda:1", "cuda"):
        OnnxRunner(device).prepare(nn.ReLU(), [torch.ones(2)])
    assert [providers[0][1] for providers in given] == [{"device_id": "1"}, {"device_id": "0"}]
    with pytest.raises(NasError, match=r"^device=cuda:7: ONNX Runtime cannot use it\. Set device=cpu"):
        OnnxRunner("cuda:7").prepare(nn.ReLU(), [torch.ones(2)])


@pytest.mark.parametrize("device", ["mps", "cuda:x", "xla:0"])
def test_onnx_runner_refuses_other_devices(device: str) -> None:
    with pytest.raises(NasError, match=f"^device={device}: backend=onnxruntime runs on cpu, cuda and cuda:N"):
        OnnxRunner(device)


def test_missing_devices_and_packages_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NasError, match=r"device=nowhere: PyTorch .* has no such device"):
        TorchRunner("nowhere")
    with pytest.raises(NasError, match="backend=onnxruntime runs in precision=32"):
        build_runner(LatencySetup(backend="onnxruntime", precision="16"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NasError, match=r"backend=onnxruntime: needs onnx, onnxscript, onnxruntime\. Run pip install"):
        OnnxRunner()
