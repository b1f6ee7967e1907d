"""Try a forward, and learn from how it fails."""

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from gradlint.building.built import BuiltModel
from gradlint.building.failure import is_foreign
from gradlint.building.shape_rules import ShapeRules
from gradlint.building.snapshot import undisturbed
from gradlint.building.surroundings import uncompiled


@dataclass
class Trial:
    """What a forward did."""

    error: BaseException | None = None
    raised_in: nn.Module | None = None
    """The innermost module that was running when it failed, and the shape of that module's first tensor."""
    raised_shape: tuple[int, ...] = ()
    smallest_map: int | None = None
    """Smallest side of the feature maps that convolutions gave (layers that span or see a single point left out)."""
    calls: int = 0
    """Modules that were entered, and left: how far it came."""
    line: int = 0
    """Line of the outermost forward at which it failed."""
    stack: list[tuple[nn.Module, tuple[int, ...]]] = field(default_factory=list)

    def note_map(self, side: int) -> None:
        """Note the smaller side of a feature map."""
        self.smallest_map = side if self.smallest_map is None else min(self.smallest_map, side)

    @property
    def progress(self) -> tuple[int, int]:
        """How far the forward came, to be compared with that of others."""
        return self.calls, self.line

    @property
    def ok(self) -> bool:
        """Whether the forward ran to its end."""
        return self.error is None


def attempt(built: BuiltModel, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Trial:
    """Run the forward once in training mode without gradients; the model is left as found.

    Whatever the user's code raises is kept in the trial, KeyboardInterrupt apart.
    """
    trial = Trial()
    before = register_module_forward_pre_hook(lambda module, inputs: _enter(trial, module, inputs))
    after = register_module_forward_hook(lambda module, inputs, output: _leave(trial, module, inputs, output))
    mode = built.fake_mode if built.fake_mode is not None else nullcontext()
    rules = ShapeRules() if built.fake_mode is not None else nullcontext()
    try:
        with undisturbed(built.model, training=True), torch.no_grad(), uncompiled(), mode, rules, _quiet():
            built.model(*args, **kwargs)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - user code may raise anything; the caller reports it
        trial.error = error
        trial.line = _line(error)
        if trial.stack:
            trial.raised_in, trial.raised_shape = trial.stack[-1]
    finally:
        before.remove()
        after.remove()
        trial.stack.clear()
    return trial


@contextmanager
def _quiet() -> Iterator[None]:
    """A trial that fails is no news, though torch logs it; and the hooks that a compiled model warns of are ours."""
    logger = logging.getLogger("torch._subclasses.fake_tensor")
    disabled, logger.disabled = logger.disabled, True
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*global hooks on modules")
            yield
    finally:
        logger.disabled = disabled


def _shape(inputs: tuple[Any, ...]) -> tuple[int, ...]:
    first = next((value for value in inputs if isinstance(value, torch.Tensor)), None)
    return tuple(first.shape) if first is not None else ()


def _line(error: BaseException) -> int:
    tb = error.__traceback__
    while tb is not None:
        code = tb.tb_frame.f_code
        if code.co_name == "forward" and not is_foreign(code.co_filename):
            return tb.tb_lineno
        tb = tb.tb_next
    return 0


def _enter(trial: Trial, module: nn.Module, inputs: tuple[Any, ...]) -> None:
    trial.calls += 1
    trial.stack.append((module, _shape(inputs)))


def _leave(trial: Trial, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
    trial.calls += 1
    if trial.stack:
        trial.stack.pop()
    if not isinstance(output, torch.Tensor) or output.dim() != 4:
        return
    if isinstance(module, nn.LayerNorm) and min(output.shape[1:3]) > 1:  # (B, H, W, C); a single point was pooled
        trial.note_map(min(output.shape[1:3]))
    if not isinstance(module, _ConvNd):
        return
    sides = _shape(inputs)[-2:]
    padding = module.padding if isinstance(module.padding, tuple) else (0, 0)
    spans = any(k >= side + 2 * pad for k, side, pad in zip(module.kernel_size, sides, padding, strict=False))
    if not spans and not module.transposed:
        trial.note_map(min(output.shape[-2:]))
