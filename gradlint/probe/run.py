"""One real forward and backward pass over a live model, watched at the exit of every module."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from gradlint.building.surroundings import uncompiled
from gradlint.core.flow import Flow, ModuleFlow, ParameterFlow
from gradlint.probe.backward import cotangents, pull_back
from gradlint.probe.figures import decades, norm, rms, sample_correlation
from gradlint.tracing.dropout import without_dropout
from gradlint.tracing.leaves import first_floating, output_leaves, tensors
from gradlint.tracing.naming import Names, names_of
from gradlint.tracing.patches import autograd_functions, module_calls, no_checkpoints, runs_through
from gradlint.tracing.preserve import preserved, random_state
from gradlint.tracing.reach import leaves_of
from gradlint.tracing.strays import find_strays

Loss = Callable[[list[torch.Tensor]], torch.Tensor]


@dataclass(slots=True)
class Call:
    """One call of one module: norms of what it returned and of the gradient that came back to it."""

    path: str
    numel: int = 0
    activation: float | None = None
    gradient: float | None = None
    correlation: float | None = None


class Watch:
    """Collects the calls of a model's modules.

    Args:
        names: the model's names.
        batch: size of the batch, for the correlation between samples; None leaves that out.
    """

    def __init__(self, names: Names, batch: int | None = None) -> None:
        self.calls: list[Call] = []
        self.handles: list[RemovableHandle] = []
        self._names = names
        self._batch = batch
        self._inside = 0

    def function(self, cls: Any, apply: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Around an `autograd.Function`: what happens inside is its own business, no gradient can be watched there."""
        if runs_through(cls):
            return apply(*args)
        self._inside += 1
        try:
            return apply(*args)
        finally:
            self._inside -= 1

    def around(self, module: nn.Module, run: Callable[[], Any], inputs: tuple[Any, ...]) -> Any:
        """Run a module and look at the first floating tensor that it returns, as returned."""
        path = self._names.modules.get(id(module))
        result = run()
        if path is None:
            return result
        call = Call(path)
        self.calls.append(call)
        with torch._C.DisableTorchFunction():
            returned = first_floating(result)
            if returned is not None:
                self._look(call, returned)
        return result

    def _look(self, call: Call, tensor: torch.Tensor) -> None:
        call.numel = tensor.numel()
        call.activation = norm(tensor)
        call.gradient = None if self._inside else 0.0
        if self._batch is not None:
            call.correlation = sample_correlation(tensor.detach(), self._batch)
        if tensor.requires_grad:
            self.handles.append(self.watch(tensor, lambda value: setattr(call, "gradient", value)))

    @staticmethod
    def watch(tensor: torch.Tensor, note: Callable[[float], None]) -> RemovableHandle:
        """Note the norm of the gradient that arrives at `tensor` as it is now, whatever is written into it later."""
        handle: RemovableHandle = tensor.register_hook(  # type: ignore[no-untyped-call]
            lambda gradient: note(norm(gradient))
        )
        return handle

    def release(self) -> None:
        """Take the hooks off again: some may stand on the user's own leaves."""
        for handle in self.handles:
            handle.remove()


@dataclass(frozen=True)
class Run:
    """What one pass has shown."""

    calls: tuple[Call, ...]
    outputs: tuple[torch.Tensor, ...]
    """The floating outputs, detached."""
    parameter_gradients: Mapping[str, float | None]
    """RMS of each parameter's gradient by its first name; None where autograd gives none."""
    values: Mapping[str, float]
    """RMS of each parameter."""
    numels: Mapping[str, int]
    """Number of elements of each parameter."""
    output_gradient: float
    """RMS of the gradient at the floating outputs."""
    gradients: Mapping[str, torch.Tensor] = field(default_factory=dict)
    """The gradients themselves, where they were asked for."""
    strays: Mapping[str, float] = field(default_factory=dict)
    """Norm of the gradient at each trainable tensor that the model has not registered, as far as one arrives."""

    def flow(self) -> Flow:
        """The figures as a `Flow`."""
        return Flow(
            module_flows={path: self.module(path) for path in dict.fromkeys(call.path for call in self.calls)},
            parameter_flows={name: ParameterFlow(self.parameter(name), value) for name, value in self.values.items()},
            output_gradient_rms=self.output_gradient,
            parametrised=frozenset(name.rpartition(".")[0] for name in self.values),
        )

    def parameter(self, name: str) -> float:
        """RMS of a parameter's gradient, 0 where there is none."""
        return self.parameter_gradients.get(name) or 0.0

    def module(self, path: str) -> ModuleFlow:
        """A module's figures, its calls pooled."""
        calls = [call for call in self.calls if call.path == path]
        activation, gradient = _pooled(calls, "activation"), _pooled(calls, "gradient")
        return ModuleFlow(activation, gradient, decades(self.output_gradient, gradient), len(calls))

    def correlation(self, path: str) -> float | None:
        """Correlation between samples at a module's last call."""
        return next((call.correlation for call in reversed(self.calls) if call.path == path), None)


def _pooled(calls: Iterable[Call], figure: str) -> float | None:
    seen = [call for call in calls if getattr(call, figure) is not None]
    numel = sum(call.numel for call in seen)
    if not seen:
        return None
    return math.hypot(*(getattr(call, figure) for call in seen)) / math.sqrt(numel) if numel else 0.0


@contextmanager
def measuring(model: nn.Module, seed: int, inputs: Any = ()) -> Iterator[Names]:
    """The conditions under which everything is measured, and everything as it was afterwards.

    Training mode, dropout as identity, checkpoints run through, gradients on, generators seeded.
    """
    with ExitStack() as stack:
        backups = stack.enter_context(preserved(model))
        for tensor in tensors(inputs):
            backups.keep(tensor)
        stack.enter_context(random_state(seed))
        model.train()
        stack.enter_context(without_dropout(model, backups.before_write))
        stack.enter_context(no_checkpoints())
        stack.enter_context(uncompiled())
        stack.enter_context(autograd_functions(_through_checkpoints))
        stack.enter_context(torch.enable_grad())
        yield names_of(model)


def _through_checkpoints(cls: Any, apply: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    return args[0](*args[2:]) if runs_through(cls) else apply(*args)


def as_args(args: Any) -> tuple[Any, ...]:
    """Positional arguments of a call: a tuple or list as it is, anything else as the only one."""
    return tuple(args) if isinstance(args, tuple | list) else (args,)


def measure_run(
    model: nn.Module,
    args: Any,
    kwargs: Mapping[str, Any] | None = None,
    *,
    seed: int = 0,
    loss: Loss | None = None,
    correlate: bool = False,
    keep: bool = False,
) -> Run:
    """Run a live model forward and backward and look at every module and parameter.

    Args:
        model: left exactly as found.
        args: positional inputs, used as given.
        kwargs: keyword inputs.
        seed: of the cotangents and of what the forward draws.
        loss: a scalar of the outputs to differentiate instead of random cotangents.
        correlate: also measure the correlation between samples at every module.
        keep: also keep the parameters' gradients.

    Raises:
        Exception: whatever the model's forward raises.
    """
    fed, named = as_args(args), dict(kwargs or {})
    batch = next((t.shape[0] for t in tensors((fed, named)) if t.dim()), None) if correlate else None
    with measuring(model, seed, (fed, named)) as names:
        watch = Watch(names, batch)
        try:
            with module_calls(watch.around), autograd_functions(watch.function):
                result = model(*fed, **named)
            outputs = output_leaves(result)
            arriving = [_Arrival(tensor, watch) for tensor in outputs]
            found = _backward(outputs, loss, seed, arriving)
        finally:
            watch.release()
        return _collect(model, watch, outputs, arriving, found, keep)


class _Arrival:
    """The gradient that arrives at one output."""

    def __init__(self, tensor: torch.Tensor, watch: Watch) -> None:
        self.numel = tensor.numel()
        self.norm = 0.0
        if tensor.requires_grad:
            watch.handles.append(watch.watch(tensor, self.note))

    def note(self, value: float) -> None:
        self.norm = value


def _backward(
    outputs: list[torch.Tensor], loss: Loss | None, seed: int, arriving: list[_Arrival]
) -> dict[int, torch.Tensor]:
    drawn = cotangents(outputs, seed)
    if loss is None:
        for arrival, tensor, cotangent in zip(arriving, outputs, drawn, strict=True):
            if not tensor.requires_grad:
                arrival.note(norm(cotangent))
        pairs = [(t, c) for t, c in zip(outputs, drawn, strict=True) if t.requires_grad]
    else:
        total = loss(outputs)
        pairs = [(total, torch.ones_like(total))] if total.requires_grad else []
    leaves = leaves_of(t for t, _ in pairs)
    gradients = pull_back([t for t, _ in pairs], [c for _, c in pairs], leaves)
    return {id(leaf): g for leaf, g in zip(leaves, gradients, strict=True) if g is not None}


def _collect(
    model: nn.Module,
    watch: Watch,
    outputs: list[torch.Tensor],
    arriving: list[_Arrival],
    found: dict[int, torch.Tensor],
    keep: bool,
) -> Run:
    numel = sum(a.numel for a in arriving)
    parameters = list(model.named_parameters())
    return Run(
        calls=tuple(watch.calls),
        outputs=tuple(t.detach() for t in outputs),
        parameter_gradients={name: rms_of(found.get(id(p)), p) for name, p in parameters},
        values={name: rms(p) for name, p in parameters},
        numels={name: p.numel() for name, p in parameters},
        output_gradient=math.hypot(*(a.norm for a in arriving)) / math.sqrt(numel) if numel else 0.0,
        gradients={name: found[id(p)] for name, p in parameters if id(p) in found} if keep else {},
        strays={s.name: norm(found[id(t)]) for s, t in find_strays(model) if id(t) in found},
    )


def rms_of(gradient: torch.Tensor | None, parameter: torch.Tensor) -> float | None:
    """RMS of a gradient over the elements of its parameter; None where there is no gradient."""
    if gradient is None:
        return None
    return norm(gradient) / math.sqrt(parameter.numel()) if parameter.numel() else 0.0
