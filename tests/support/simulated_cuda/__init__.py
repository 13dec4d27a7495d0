"""A simulated CUDA device for CPU builds of PyTorch 2.11 to 2.13, for tests alone.

Tensors are on ``cuda:0``, so all code takes its path for a GPU, but operators run on the CPU. As on a GPU, an operator
on tensors of both devices fails, a generator of the CPU fails for a tensor on the device, and operations that wait for
the device are reported. There is one stream, and neither kernels, NCCL, CUDA graphs nor Triton.
"""
