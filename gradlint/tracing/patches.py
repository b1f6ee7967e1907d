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
import torch.overrides
import torch.utils.checkpoint
from torch import nn
from torch.nn.modules._functions import BackwardHookFunction
from torch.utils.checkpoint import CheckpointFunction

from gradlint.tracing import scripted
from gradlint.tracing.frames import is_user_code

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
            stack.enter_context(mock.patch.object(torch.overrides, name, _no_torch_function))
        yield


def has_own_body(func: Callable[..., Any]) -> bool:
    """Whether a torch function is none of torch's: a Python function that asks `has_torch_function`, as torch's do."""
    code = getattr(func, "__code__", None)
    return code is not None and is_user_code(code.co_filename)


def body(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What such a function does where nobody overrides it."""
    own: dict[str, Any] = getattr(func, "__globals__", None) or func.__func__.__globals__  # type: ignore[attr-defined]
    with mock.patch.dict(own, {name: _no_torch_function for name in _CHECKS if name in own}):
        return func(*args, **kwargs)


@contextmanager
def module_calls(around: Callable[[nn.Module, Callable[[], Any], tuple[Any, ...]], Any]) -> Iterator[None]:
    """Route every module call through `around(module, run, inputs)`, whose result is what the caller gets."""
    original, recorded = nn.Module.__call__, threading.get_ident()

    def call(module: nn.Module, /, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() != recorded:
            return original(module, *args, **kwargs)
        return around(module, lambda: _run(original, module, args, kwargs), (*args, *kwargs.values()))

    with mock.patch.object(nn.Module, "__call__", call):
        yield


def _run(original: Callable[..., Any], module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a module; one of TorchScript operator by operator, unless that cannot be followed."""
    if isinstance(module, torch.jit.ScriptModule) and not (module._forward_hooks or module._forward_pre_hooks):
        try:
            return scripted.run_module(module, args, kwargs)
        except scripted.NOT_FOLLOWED:
            pass
    return original(module, *args, **kwargs)


@contextmanager
def scripted_functions() -> Iterator[None]:
    """Run scripted functions operator by operator, unless they cannot be followed."""
    kind: Any = torch.jit.ScriptFunction
    original, recorded = kind.__call__, threading.get_ident()

    def call(function: Any, /, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == recorded:
            try:
                return scripted.run_function(function, args, kwargs)
            except scripted.NOT_FOLLOWED:
                pass
        return original(function, *args, **kwargs)

    with mock.patch.object(kind, "__call__", call):
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
