"""Devices that this machine lacks: whatever a file sends to the GPU stays on the CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


@contextmanager
def cpu_for_cuda(source: str) -> Iterator[None]:
    """Inside, `x.cuda()`, `model.to("cuda")` and `torch.zeros(3, device="cuda")` mean the CPU, where there is no GPU.

    Args:
        source: text of the checked file; one that never speaks of CUDA is left alone.
    """
    if "cuda" not in source or torch.cuda.is_available():
        yield
        return
    with _CpuForCuda():
        yield


class _CpuForCuda(TorchFunctionMode):
    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a torch function with every GPU among its arguments replaced."""
        kwargs = kwargs or {}
        if func is torch.Tensor.cuda:
            return args[0]
        if func is torch.Tensor.to:
            args = (args[0], *(_there(value) for value in args[1:]))
        if "device" in kwargs:
            kwargs = {**kwargs, "device": _there(kwargs["device"])}
        return func(*args, **kwargs)


def _there(device: Any) -> Any:
    """The CPU in place of a GPU; anything else as it is."""
    if isinstance(device, torch.device) and device.type == "cuda":
        return torch.device("cpu")
    if isinstance(device, str) and device.partition(":")[0] == "cuda":
        return "cpu"
    if isinstance(device, int) and not isinstance(device, bool):
        return "cpu"
    return device
