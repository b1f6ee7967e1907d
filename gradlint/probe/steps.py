"""Gradients over the steps of a recurrence, the cotangent on the last step only."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from gradlint.core.flow import Flow, TimeFlow
from gradlint.probe.backward import cotangents, pull_back
from gradlint.probe.figures import norm, rms, widened
from gradlint.probe.run import as_args, measuring
from gradlint.tracing.leaves import first_floating, is_floating, map_tensors, tensors
from gradlint.tracing.naming import Names
from gradlint.tracing.patches import module_calls
from gradlint.tracing.reach import leaves_of

CAP = 1024
"""At most so many steps are unrolled, the last ones; what lies before them only sets the state."""


def has_recurrence(model: nn.Module, flow: Flow) -> bool:
    """Whether it is worth looking for time steps: a fused recurrence, or a module called several times."""
    modules = dict(model.named_modules())
    return any(
        isinstance(modules[path], nn.RNNBase) or _may_loop(modules[path], found.calls)
        for path, found in flow.module_flows.items()
    )


def _may_loop(module: nn.Module, calls: int) -> bool:
    """A cell called at least twice, or any other module with parameters called at least three times."""
    if isinstance(module, nn.RNNCellBase):
        return calls >= 2
    return calls >= 3 and next(module.parameters(), None) is not None


def measure_times(
    model: nn.Module, args: Any, kwargs: Mapping[str, Any] | None = None, *, seed: int = 0
) -> tuple[TimeFlow, ...]:
    """Gradients over time of all recurrences of a model: fused ones unrolled, hand-written loops call by call.

    Args:
        model: left exactly as found.
        args: positional inputs.
        kwargs: keyword inputs.
        seed: of the cotangents.

    Returns:
        One entry per recurrence in order of its first call, named by its module's path.
    """
    fed, named = as_args(args), dict(kwargs or {})
    with measuring(model, seed, (fed, named)) as names:
        seen = _Seen(names)
        with module_calls(seen.around):
            model(*_differentiable(fed), **_differentiable(named))
        fused = [_fused(path, module, *inputs, seed) for path, (module, inputs) in seen.fused.items()]
        loops = _loops(seen, seed)
    return (*fused, *loops)


def _differentiable(inputs: Any) -> Any:
    """Floating inputs through which gradients are known too; copies, so that a write in place stays legal."""
    return map_tensors(inputs, lambda t: t.detach().requires_grad_().clone() if is_floating(t) else t)


@dataclass
class _Loop:
    """The calls of one module: copies of what they returned, and where to note the gradients."""

    module: nn.Module
    results: list[torch.Tensor] = field(default_factory=list)
    inputs: list[torch.Tensor | None] = field(default_factory=list)
    arrived: dict[int, float] = field(default_factory=dict)
    is_watching: bool = False


class _Seen:
    """What the modules were called with, and what they returned."""

    def __init__(self, names: Names) -> None:
        self.fused: dict[str, tuple[nn.RNNBase, tuple[Any, Any]]] = {}
        self.loops: dict[str, _Loop] = {}
        self._names = names

    def around(self, module: nn.Module, run: Callable[[], Any], inputs: tuple[Any, ...]) -> Any:
        """Note one call."""
        result = run()
        path = self._names.modules.get(id(module))
        if path is None:
            return result
        with torch._C.DisableTorchFunction():
            if isinstance(module, nn.RNNBase):
                kept = map_tensors(inputs, lambda t: t.detach())
                self.fused.setdefault(path, (module, (kept[0], kept[1] if len(kept) > 1 else None)))
            returned = first_floating(result)
            if returned is not None and returned.requires_grad:
                self._note(self.loops.setdefault(path, _Loop(module)), returned, inputs)
        return result

    @staticmethod
    def _note(loop: _Loop, returned: torch.Tensor, inputs: tuple[Any, ...]) -> None:
        index = len(loop.results)

        def note(gradient: torch.Tensor | None) -> None:
            if loop.is_watching:
                loop.arrived[index] = norm(gradient)

        returned.register_hook(note)  # type: ignore[no-untyped-call]
        loop.results.append(returned * 1)  # of its own, so that a later write in place does not reach it
        first = first_floating(inputs)
        loop.inputs.append(first if first is not None and first.requires_grad else None)


def _loops(seen: _Seen, seed: int) -> list[TimeFlow]:
    found: dict[str, TimeFlow] = {}
    for path, loop in sorted(seen.loops.items(), key=lambda item: (item[0].count("."), item[0])):
        steps = len(loop.results)
        outer = any(path.startswith(f"{other}.") and found[other].steps == steps for other in found)
        if path in seen.fused or outer or not _may_loop(loop.module, steps):
            continue
        flow = _loop(path, loop, seed)
        if flow is not None:
            found[path] = flow
    order = list(seen.loops)
    return sorted(found.values(), key=lambda flow: order.index(flow.module))


def _loop(path: str, loop: _Loop, seed: int) -> TimeFlow | None:
    """Gradient at each call's result from the last one's; None where later calls do not read earlier ones."""
    last, steps = loop.results[-1], len(loop.results)
    (cotangent,) = cotangents([last], seed)
    wanted = {id(t): t for t in loop.inputs if t is not None}
    leaves = leaves_of([last])
    loop.is_watching = True
    gradients = torch.autograd.grad(
        [last], [*leaves, *wanted.values()], [cotangent], allow_unused=True, retain_graph=True
    )
    loop.is_watching = False
    if 0 not in loop.arrived:
        return None
    at = dict(zip(wanted, gradients[len(leaves) :], strict=True))
    inputs = [at.get(id(t)) if t is not None else None for t in loop.inputs]
    hidden = [loop.arrived.get(i, 0.0) / math.sqrt(result.numel()) for i, result in enumerate(loop.results[:-1])] + [
        rms(cotangent)
    ]
    return TimeFlow(
        name=path,
        module=path,
        steps=steps,
        hidden=tuple(hidden),
        inputs=tuple(0.0 if g is None else rms(g) for g in inputs) if any(g is not None for g in inputs) else (),
        gain=gain_per_step(hidden),
        cell=_cell(loop.module),
    )


def _cell(module: nn.Module) -> str:
    if isinstance(module, nn.RNNCell):
        return f"rnn_{module.nonlinearity}"
    if isinstance(module, nn.LSTMCell):
        return "lstm"
    return "gru" if isinstance(module, nn.GRUCell) else "loop"


def gain_per_step(hidden: list[float]) -> float:
    """Decades that the gradient gains per step back, between the last step and the earliest that it reaches."""
    reached = [(step, value) for step, value in enumerate(hidden) if value > 0 and math.isfinite(value)]
    if len(reached) < 2 or reached[0][0] == len(hidden) - 1:
        return 0.0
    (first, early), (last, late) = reached[0], reached[-1]
    return (math.log10(early) - math.log10(late)) / (last - first)


def _fused(path: str, module: nn.RNNBase, inputs: Any, state: Any, seed: int) -> TimeFlow:
    """Unroll a fused recurrence step by step in double precision, with its own weights and inputs.

    Of a bidirectional one the forward direction of its first layer is unrolled.
    """
    x = _sequence(module, inputs)
    cell = _as_cell(module).to(x)
    hidden: Any = None
    if state is not None and not module.bidirectional:
        hidden = map_tensors(state, lambda t: (t if t.dim() == 3 else t[:, None]).to(x))
    steps = x.shape[0]
    with torch.no_grad():
        for step in range(steps - min(steps, CAP)):
            hidden = cell(x[step : step + 1], hidden)[1]
    states, slices, out = [], [], x[:0]
    for step in range(steps - min(steps, CAP), steps):
        piece = x[step : step + 1].detach().requires_grad_()
        out, hidden = cell(piece, hidden)
        slices.append(piece)
        states.append(next(tensors(hidden)))
    (cotangent,) = cotangents([out], seed)
    found = pull_back([out], [cotangent], [*states[:-1], *slices])
    top = [0.0 if g is None else rms(g[-1]) for g in found[: len(states) - 1]] + [rms(cotangent)]
    return TimeFlow(
        name=path,
        module=path,
        steps=steps,
        hidden=tuple(top),
        inputs=tuple(0.0 if g is None else rms(g) for g in found[len(states) - 1 :]),
        gain=gain_per_step(top),
        cell=module.mode.lower(),
    )


def _as_cell(module: nn.RNNBase) -> nn.RNNBase:
    """The same recurrence over `[T, B, F]`, in one direction and in double precision."""
    kinds: dict[str, Callable[..., nn.RNNBase]] = {
        "LSTM": nn.LSTM,
        "GRU": nn.GRU,
        "RNN_TANH": nn.RNN,
        "RNN_RELU": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
    }
    options: dict[str, Any] = {"proj_size": module.proj_size} if module.proj_size else {}
    layers = 1 if module.bidirectional else module.num_layers
    cell = kinds[module.mode](module.input_size, module.hidden_size, layers, bias=module.bias, **options)
    cell = cell.to(torch.float64).requires_grad_(False)
    with torch.no_grad():
        for name, parameter in cell.named_parameters():
            parameter.copy_(getattr(module, name))
    return cell


def _sequence(module: nn.RNNBase, inputs: Any) -> torch.Tensor:
    """The recurrence's input as `[T, B, F]` in double precision."""
    if isinstance(inputs, PackedSequence):
        return widened(pad_packed_sequence(inputs)[0])
    x = widened(inputs)
    if x.dim() == 2:
        return x[:, None]
    return x.transpose(0, 1) if module.batch_first else x
