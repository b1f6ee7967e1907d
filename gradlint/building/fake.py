"""Fake tensors for what is large, real ones for what is small: construction without memory.

Importing this module is expensive (`torch._dynamo`, sympy): only large models do.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.overrides import TorchFunctionMode

from gradlint.building.guard import FACTORIES, requested
from gradlint.building.shadow import InitRecorder

SMALL = 1024
"""Tensors up to this number of elements stay real: constructors read them (`linspace(…).item()`)."""

COUNTED = 1 << 22
"""Integers and truth values up to this number stay real: tables of indices and masks are read too, in every forward."""

_NEW = frozenset({torch.Tensor.new_empty, torch.Tensor.new_zeros, torch.Tensor.new_ones, torch.Tensor.new_full})


def fake_mode() -> FakeTensorMode:
    """A fake mode that lets real tensors mix with fake ones and keeps all shapes concrete."""
    return FakeTensorMode(allow_non_fake_inputs=True, shape_env=ShapeEnv(), static_shapes=True)


class Selective(TorchFunctionMode):
    """Sends factory calls for more than `SMALL` numbers to a fake mode, and tells the recorder what they drew."""

    def __init__(self, mode: FakeTensorMode, recorder: InitRecorder) -> None:
        super().__init__()
        self.mode = mode
        self.recorder = recorder

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a torch function, with fake results where they are large."""
        kwargs = kwargs or {}
        if not self._is_large(func, args, kwargs):
            return func(*args, **kwargs)
        with self.mode:
            result = func(*args, **kwargs)
        if isinstance(result, FakeTensor):
            self.recorder.created(result, func.__name__.removeprefix("new_"), args, kwargs)
        return result

    def _is_large(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        most = COUNTED if _is_counted(func, args, kwargs) else SMALL
        if func in _NEW:
            return requested(args[1:], kwargs) > most
        if func not in FACTORIES:
            return False
        if func is torch.eye:
            sides = [side for side in args if isinstance(side, int)]
            return bool(sides) and sides[0] * sides[-1] > most
        return requested(args, kwargs) > most


def _is_counted(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a factory makes integers or truth values."""
    dtype = kwargs.get("dtype")
    if dtype is None and func in _NEW:
        dtype = args[0].dtype
    if dtype is None and func is torch.full:
        value = kwargs.get("fill_value", args[-1] if args else None)
        return isinstance(value, int)  # a bool is one too
    return isinstance(dtype, torch.dtype) and not dtype.is_floating_point and not dtype.is_complex


def make_fake(model: nn.Module, mode: FakeTensorMode) -> None:
    """Replace the parameters and buffers that are still real by fake ones; shared tensors stay shared."""
    replaced: dict[int, torch.Tensor] = {}
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None and not isinstance(parameter.data, FakeTensor):
                if id(parameter) not in replaced:
                    data = mode.from_tensor(parameter.data, static_shapes=True)
                    replaced[id(parameter)] = nn.Parameter(data, parameter.requires_grad)
                module._parameters[name] = replaced[id(parameter)]  # type: ignore[assignment]
        for name, buffer in module._buffers.items():
            if buffer is not None and not isinstance(buffer, FakeTensor):
                if id(buffer) not in replaced:
                    replaced[id(buffer)] = mode.from_tensor(buffer, static_shapes=True)
                module._buffers[name] = replaced[id(buffer)]
