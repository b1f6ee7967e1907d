"""What has to be swapped inside torch while a forward pass is recorded. Everything is put back, also after errors.

What other threads call meanwhile goes its usual way.
"""

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
import torch.nn.functional as functional
import torch.utils.checkpoint
from torch import nn
from torch.nn.modules._functions import BackwardHookFunction
from torch.utils.checkpoint import CheckpointFunction

_CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


def _no_torch_function(*_: Any) -> bool:
    return False


@contextmanager
def builtins_only() -> Iterator[None]:
    """Make the Python bodies of torch.nn.functional run, so that a mode sees the C functions that they call.

    Otherwise `nn.MultiheadAttention` is one opaque call instead of linear … attention.
    """
    with ExitStack() as stack:
        for name in _CHECKS:
            stack.enter_context(mock.patch.object(functional, name, _no_torch_function))
        yield


@contextmanager
def module_calls(around: Callable[[nn.Module, Callable[[], Any], tuple[Any, ...]], Any]) -> Iterator[None]:
    """Route every module call through `around(module, run, inputs)`, whose result is what the caller gets."""
    original, recorded = nn.Module.__call__, threading.get_ident()

    def call(module: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != recorded:
            return original(module, *args, **kwargs)
        return around(module, lambda: original(module, *args, **kwargs), (*args, *kwargs.values()))

    with mock.patch.object(nn.Module, "__call__", call):
        yield


@contextmanager
def autograd_functions(apply: Callable[[Any, Callable[..., Any], tuple[Any, ...]], Any]) -> Iterator[None]:
    """Route every call of an `autograd.Function` through `apply(cls, original, args)`.

    Below `Function.apply`, which models keep as an attribute from their construction on.
    """
    recorded = threading.get_ident()
    below: Any = torch.autograd.function._SingleLevelFunction
    before = below.__dict__.get("apply")

    def patched(cls: Any, *args: Any, **kwargs: Any) -> Any:
        bound = super(below, cls).apply if before is None else before.__get__(None, cls)
        is_seen = threading.get_ident() == recorded and not kwargs
        return apply(cls, bound, args) if is_seen else bound(*args, **kwargs)

    below.apply = classmethod(patched)
    try:
        yield
    finally:
        if before is None:
            del below.apply
        else:
            below.apply = before


def _uncheckpointed(*_: Any, **__: Any) -> Generator[None, None, None]:
    yield


@contextmanager
def no_checkpoints() -> Iterator[None]:
    """Run checkpointed functions like any other: recomputation would hide, repeat or reorder what is observed.

    Re-entrant checkpoints are an autograd function; see `runs_through`.
    """
    with mock.patch.object(torch.utils.checkpoint, "_checkpoint_without_reentrant_generator", _uncheckpointed):
        yield


def runs_through(cls: Any) -> bool:
    """Whether an autograd function is a re-entrant checkpoint: `apply(function, preserve, *args)`."""
    return cls is CheckpointFunction


def hands_through(cls: Any) -> bool:
    """Whether an autograd function is what torch puts a module's full backward hooks on: its outputs are its inputs."""
    return cls is BackwardHookFunction
