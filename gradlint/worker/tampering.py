"""What a target may have changed in the process for good: the next one is then given a process of its own."""

import builtins
import gc
import os
import random
import resource
import signal
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

_LIMITS = (resource.RLIMIT_NOFILE, resource.RLIMIT_FSIZE, resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_AS)
_TORCH = Path(torch.__file__).parent
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_GLOBAL_HOOKS = (
    "_global_forward_hooks",
    "_global_forward_pre_hooks",
    "_global_backward_hooks",
    "_global_backward_pre_hooks",
    "_global_module_registration_hooks",
    "_global_parameter_registration_hooks",
)


class Fingerprint:
    """The state of the process when it was made. Defaults that are put back after each target are no part of it."""

    def __init__(self) -> None:
        self._switches = _switches()
        self._modules = dict(sys.modules)
        self._members = [(owner, _members(owner)) for owner in _owners()]

    def has_changed(self) -> bool:
        """Whether handlers, timers, limits, threads, streams, modules or functions of torch are others than they were.

        What has been added does not count: importing a package adds modules.
        """
        if _switches() != self._switches:
            return True
        if any(sys.modules.get(name) is not module for name, module in self._modules.items()):
            return True
        return any(
            not _is_same(vars(owner).get(name), member)
            for owner, members in self._members
            for name, member in members.items()
        )


def _is_same(now: Any, then: Any) -> bool:
    """Whether it is what it was; torch's own compiler, which large models make torch import, wraps `manual_seed`."""
    if now is then:
        return True
    code = getattr(now, "__code__", None)
    is_torchs_own = code is not None and Path(code.co_filename).is_relative_to(_TORCH)
    return is_torchs_own and getattr(now, "__wrapped__", None) is then


def _switches() -> list[Any]:
    hooks = vars(nn.modules.module)
    return [
        [signal.getsignal(number) for number in sorted(signal.valid_signals())],
        [signal.getitimer(timer)[1] or signal.getitimer(timer)[0] > 0 for timer in _TIMERS],
        [resource.getrlimit(limit) for limit in _LIMITS],
        [sys.gettrace(), sys.getprofile(), sys.getrecursionlimit()],
        [id(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        [getattr(stream, "closed", True) for stream in (sys.stdout, sys.stderr)],
        [threading.active_count(), gc.isenabled(), gc.get_threshold(), len(gc.callbacks)],
        [torch.is_inference_mode_enabled(), torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled()],
        [torch.get_num_threads(), torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack()],
        [len(hooks[name]) for name in _GLOBAL_HOOKS],
    ]


def _owners() -> list[ModuleType | type]:
    """What user code is likeliest to patch, and gradlint to stumble over."""
    modules = [builtins, os, random, torch, nn, nn.functional, nn.init]
    classes = [item for item in vars(nn).values() if isinstance(item, type)]
    return [*modules, *classes, torch.Tensor]


def _members(owner: ModuleType | type) -> dict[str, Any]:
    return {name: item for name, item in vars(owner).items() if callable(item) or isinstance(item, ModuleType)}
