"""Dropout, DropPath and stochastic depth as identity: prediction and measurement speak of the mean network."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from gradlint.tracing.leaves import tensors
from gradlint.tracing.names import canonical, is_inplace
from gradlint.tracing.patches import builtins_only

DROPOUTS = frozenset({"dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "native_dropout"})
_STOCHASTIC_DEPTH = ("DropPath", "StochasticDepth")


def identity_dropout(x: torch.Tensor, p: float = 0.5, training: bool = True) -> torch.Tensor:
    """What stands in the graph for a dropout: the input, as a tensor of its own."""
    return x.clone()


def undropped(func: Callable[..., Any], op: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Replace what a call would drop.

    Returns:
        (func, args, kwargs) to call instead: the same ones for everything that does not drop.
    """
    if op in DROPOUTS:
        return (itself if _inplace(func) else identity_dropout), (args[0] if args else kwargs["input"],), {}
    if op == "scaled_dot_product_attention":
        if len(args) > 4:
            args = (*args[:4], 0.0, *args[5:])
        return func, args, {**kwargs, "dropout_p": 0.0} if "dropout_p" in kwargs else kwargs
    if op in ("lstm", "gru", "rnn_tanh", "rnn_relu"):
        return func, _without_layer_dropout(args), kwargs
    if op == "bernoulli" and _inplace(func) and not isinstance(_probability(args, kwargs), torch.Tensor):
        return torch.Tensor.fill_, (args[0], _probability(args, kwargs)), {}
    return func, args, kwargs


def _probability(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return kwargs.get("p", args[1] if len(args) > 1 else 0.5)


def _inplace(func: Callable[..., Any]) -> bool:
    return str(getattr(func, "__name__", "")).endswith("_")


def itself(x: torch.Tensor, p: float = 0.5, training: bool = True) -> torch.Tensor:
    """What stands in the graph for a dropout in place."""
    return x


def _without_layer_dropout(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Fused recurrences take (…, weights, bias, layers, dropout, training, …), packed ones the same further back."""
    for weights in (2, 3):
        if len(args) > weights + 3 and isinstance(args[weights], list | tuple) and isinstance(args[weights + 1], bool):
            return (*args[: weights + 3], 0.0, *args[weights + 4 :])
    return args


@contextmanager
def drop_modules_in_eval(model: nn.Module) -> Iterator[None]:
    """Put dropout and stochastic-depth modules into evaluation mode, in which they are the identity."""
    modules = [m for m in model.modules() if m.training and _drops(m)]
    for module in modules:
        module.training = False
    try:
        yield
    finally:
        for module in modules:
            module.training = True


def _drops(module: nn.Module) -> bool:
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return True
    return any(cls.__name__.endswith(_STOCHASTIC_DEPTH) for cls in type(module).__mro__)


class _Undropping(TorchFunctionMode):
    def __init__(self, before_write: Callable[[torch.Tensor], None] | None) -> None:
        super().__init__()
        self._before_write = before_write

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if self._before_write is not None and is_inplace(func, kwargs):
            for tensor in tensors((args[:1], kwargs.get("out"))):
                self._before_write(tensor)
        func, args, kwargs = undropped(func, canonical(func), args, kwargs)
        return func(*args, **kwargs)


@contextmanager
def without_dropout(model: nn.Module, before_write: Callable[[torch.Tensor], None] | None = None) -> Iterator[None]:
    """Run a model in training mode with dropout, DropPath, stochastic depth and `bernoulli_` masks as identity.

    Args:
        model: its dropout modules are in evaluation mode meanwhile.
        before_write: called with each tensor that an operator is about to write in place.
    """
    with ExitStack() as stack:
        stack.enter_context(drop_modules_in_eval(model))
        stack.enter_context(builtins_only())
        stack.enter_context(_Undropping(before_write))
        yield
