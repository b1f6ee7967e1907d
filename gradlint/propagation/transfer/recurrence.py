"""Fused RNN, LSTM and GRU over time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from gradlint.core.flow import TimeFlow
from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, Transfer
from gradlint.propagation.dims import Role, dim
from gradlint.propagation.recurrent_cell import (
    CAP,
    SAMPLES,
    Cell,
    draw_inputs,
    particles_of,
    real_weights,
    received_moments,
    step_gradients,
)
from gradlint.propagation.signal import Back, Signal, emit
from gradlint.propagation.weights import Weight
from gradlint.tracing.model_graph import TensorMeta, op_of

PASSING = frozenset("dropout layer_norm relu tanh contiguous to float clone".split())
"""Operators that leave each step where it is, when looking which steps of the output are read."""


def recurrence(call: Call) -> Any:
    """`lstm(x, state, weights, …)`, `gru`, `rnn_tanh`, `rnn_relu`: run for real at true width on drawn inputs."""
    operand, weights = call.args[0], call.args[2]
    if isinstance(call.args[1], Tensor) and not isinstance(weights, tuple | list):
        raise NoRuleError("packed sequences")
    if len(call.args) > 3 and isinstance(call.args[3], tuple | list):
        raise NoRuleError("packed sequences")
    signal = call.signal(operand)
    flat = tuple(w if isinstance(w, Weight) else _as_weight(w) for w in weights)
    cell = Cell(call.op.op, real_weights(flat, call.key), bool(call.args[3]), int(call.args[4]), bool(call.args[7]))
    batch_first = bool(call.args[8]) if len(call.args) > 8 else False
    return _run(call, signal, flat, cell, batch_first=batch_first)


def _as_weight(value: Any) -> Weight:
    if not isinstance(value, Tensor):
        raise NoRuleError("its weights are computed from the input")
    return Weight("", tuple(value.shape), value, value.detach().to(P.DTYPE).reshape(-1)[:2048], learned=False)


def _run(call: Call, signal: Signal, weights: tuple[Weight, ...], cell: Cell, *, batch_first: bool) -> Any:
    if len(signal.shape) != 3:
        raise NoRuleError("its input has no batch dim")
    time = 1 if batch_first else 0
    total, batch = signal.shape[time], signal.shape[1 - time]
    steps = min(total, CAP)
    given = call.args[1] if isinstance(call.args[1], tuple | list) else (call.args[1],)
    states = tuple(call.signal(s) for s in given if isinstance(s, Signal))
    x = draw_inputs(signal.value, steps, signal.shape[-1], call.key).requires_grad_()
    start, drawn = _start(call, cell, given)
    with torch.enable_grad():
        out, state = cell.run(x, start)
    learn = _Learner(call, weights, cell, batch, total)
    sources = (signal.x, *(s.x for s in states))
    leaves = (x, *drawn)

    def emitted(result: Tensor, cotangent: Callable[[Tensor], Tensor], y: Tensor) -> Tensor:
        run = _Backward(result, (*leaves, *(w for w in cell.weights if w.requires_grad)), cotangent)

        def through(i: int) -> Back:
            return lambda g, scale: P.cotangent(received_moments(run(g)[i]), "recurrence", call.key)

        def learned(g: Tensor, scale: float) -> Tensor:
            learn(run(g)[len(leaves) :], [f[len(leaves) :] for f in run.flipped(g)], scale)
            arrived = call.run.arrived.steps.get(call.op.name, 0.0)
            call.run.arrived.steps[call.op.name] = arrived + run(g)[0].square().mean((1, 2)) * scale**2
            return torch.zeros_like(g)

        hook = torch.zeros(P.R, P.S, dtype=P.DTYPE, requires_grad=call.op.requires_grad)
        return emit(y, *((s, through(i)) for i, s in enumerate(sources)), (hook, learned))

    profile = _steps_read(call.node, time)
    dims = (dim(batch, Role.SAMPLE), dim(total, Role.POSITION), dim(out.shape[2], Role.UNIT))
    dims = dims if batch_first else (dims[1], dims[0], dims[2])
    shape = (batch, total, out.shape[2]) if batch_first else (total, batch, out.shape[2])
    whole = emitted(
        out, lambda g: _cotangent(P.moments(g), out, profile, steps, total, call.key), particles_of(out, call.key)
    )
    lasts = enumerate(state if isinstance(state, tuple) else (state,), start=1)
    if total > 1:
        _note_times(call, cell, x.detach(), total)
    return (Signal(whole, shape, dims), *(_last_state(call, last, i, batch, emitted) for i, last in lasts))


def _start(call: Call, cell: Cell, given: Sequence[Any]) -> tuple[Any, list[Tensor]]:
    """The first state, drawn with the moments of what is given; and the leaves among it that want a gradient."""
    zero = cell.start(SAMPLES)
    parts, leaves = [], []
    wanted = zero if isinstance(zero, tuple) else (zero,)
    given = (*given, *wanted)[: len(wanted)]  # a gate tried in the place of a plain recurrence has a cell state too
    for i, (empty, value) in enumerate(zip(wanted, given, strict=True)):
        part = empty
        if isinstance(value, Signal):
            part = draw_inputs(value.value, empty.shape[0], empty.shape[2], f"{call.key}.state{i}").requires_grad_()
            leaves.append(part)
        elif isinstance(value, Tensor) and bool(value.any()):
            rms = P.rms(value)
            part = rms * torch.randn(empty.shape, generator=P.generator("state", call.key, i), dtype=P.DTYPE)
        parts.append(part)
    return tuple(parts) if isinstance(zero, tuple) else parts[0], leaves


@dataclass
class _Backward:
    """One real backward pass for all that went into a result: its readers ask in turn with the same cotangent."""

    result: Tensor
    leaves: tuple[Tensor, ...]
    cotangent: Callable[[Tensor], Tensor]
    asked: Tensor | None = None
    found: tuple[Tensor, ...] = ()

    def __call__(self, g: Tensor) -> tuple[Tensor, ...]:
        """Gradients of the leaves."""
        if g is not self.asked:
            self.asked, self.found = g, self._gradients(self.cotangent(g))
        return self.found

    def flipped(self, g: Tensor) -> list[tuple[Tensor, ...]]:
        """The same with the samples' cotangents turned round in all balanced ways; none where samples share nothing."""
        m = P.moments(g)
        if abs(m.s) <= 1e-9 * m.q:
            return []
        real, contrasts = self.cotangent(g), 2 * P.HADAMARD[1:]
        return [self._gradients(real * signs[:, None]) for signs in contrasts]

    def _gradients(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        grads = torch.autograd.grad(self.result, self.leaves, cotangent, retain_graph=True, allow_unused=True)
        return tuple(torch.zeros_like(x) if d is None else d for d, x in zip(grads, self.leaves, strict=True))


def _last_state(call: Call, last: Tensor, index: int, batch: int, emitted: Callable[..., Tensor]) -> Signal:
    """h_n or c_n `[layers·directions, batch, width]`, of which often only some layers are read."""
    layers = last.shape[0]
    read = _layers_read(call.node, index, layers)

    def cotangent(g: Tensor) -> Tensor:
        gen = P.generator("state", call.key, index)
        noise = _alike_noise(P.moments(g), last.shape, gen)
        noise[[i for i in range(layers) if i not in read]] = 0
        return noise * math.sqrt(layers / len(read))

    y = particles_of(last.detach()[read], f"{call.key}.{index}")
    shape = (layers, batch, last.shape[2])
    dims = (dim(layers, Role.POSITION), dim(batch, Role.SAMPLE), dim(last.shape[2], Role.UNIT))
    return Signal(emitted(last, cotangent, y[[0, 0, 2, 2]] if layers == 1 else y), shape, dims)


def _layers_read(node: fx.Node, index: int, layers: int) -> list[int]:
    """Which layers' (and directions') last states are picked; all of them where the state goes on whole."""
    found: set[int] = set()
    for state in (user for user in node.users if op_of(user).op == "unpack" and user.args[1] == index):
        for user in state.users:
            op = op_of(user).op if user.op != "output" else ""
            picked = _selected_layer(user, op)
            if picked is None:
                return list(range(layers))
            found.add(picked % layers)
    return sorted(found) or list(range(layers))


def _selected_layer(user: fx.Node, op: str) -> int | None:
    index: Any = None
    if op == "getitem":
        index = user.args[1][0] if isinstance(user.args[1], tuple) else user.args[1]
    elif op == "select" and user.args[1] == 0:
        index = user.args[2]
    return index if isinstance(index, int) else None


def _cotangent(m: P.Moments, out: Tensor, profile: int | None, steps: int, total: int, key: str) -> Tensor:
    """A real cotangent `[T, samples, width]` with the moments of the particles, on the steps that are read."""
    gen = P.generator("cotangent", key)
    if profile is not None:
        g = torch.zeros_like(out)
        g[profile] = _alike_noise(m, out.shape[1:], gen) * math.sqrt(total)
        return g
    parts = (max(m.o, 0.0), max(m.p - m.o, 0.0), max(m.s - m.o, 0.0), max(m.q - m.p - m.s + m.o, 0.0))
    shapes = ((1, 1), (1, out.shape[1]), (steps, 1), (steps, out.shape[1]))
    g = torch.zeros_like(out)
    for variance, (t, b) in zip(parts, shapes, strict=True):
        g = g + math.sqrt(variance) * torch.randn(t, b, out.shape[2], generator=gen, dtype=P.DTYPE)
    return g


def _alike_noise(m: P.Moments, shape: Sequence[int], gen: torch.Generator) -> Tensor:
    """`[…, samples, width]` noise of variance q, of which samples share s."""
    shared = min(max(m.s, 0.0), m.q)
    noise = math.sqrt(m.q - shared) * torch.randn(*shape, generator=gen, dtype=P.DTYPE)
    if shared > 0:
        alike = torch.randn(*shape[:-2], 1, shape[-1], generator=gen, dtype=P.DTYPE)
        noise = noise + math.sqrt(shared) * alike
    return noise


def _steps_read(node: fx.Node, time: int) -> int | None:
    """-1 (0) where all that is read of the output sequence is its last (first) step, else None."""
    found: set[int] = set()
    queue = [user for user in node.users if op_of(user).op == "unpack" and user.args[1] == 0]
    while queue:
        current = queue.pop()
        extent = _extent(current, time)
        for user in current.users:
            if user.op == "output":
                return None
            op = op_of(user).op
            if op in PASSING:
                queue.append(user)
                continue
            step = _selected(user, op, time, extent)
            if step is None:
                return None
            found.add(step)
    return found.pop() if len(found) == 1 else None


def _extent(node: fx.Node, time: int) -> int:
    meta = node.meta.get("val")
    return int(meta.shape[time]) if isinstance(meta, TensorMeta) and len(meta.shape) > time else 0


def _selected(user: fx.Node, op: str, time: int, extent: int) -> int | None:
    """The step that a reader picks (0 or -1), None where it reads others."""
    index: Any = None
    if op == "getitem":
        parts = user.args[1] if isinstance(user.args[1], tuple) else (user.args[1],)
        whole = all(p == slice(None) for p in parts[:time])
        index = parts[time] if len(parts) > time and whole and Ellipsis not in parts else None
    elif op == "select" and user.args[1] == time:
        index = user.args[2]
    if not isinstance(index, int):
        return None
    return -1 if index in (-1, extent - 1) else 0 if index == 0 else None


class _Learner:
    """Adds the drawn backward's weight gradients to the parameters', scaled to the real batch."""

    def __init__(self, call: Call, weights: tuple[Weight, ...], cell: Cell, batch: int, total: int) -> None:
        self.call = call
        self.weights = [w for w, t in zip(weights, cell.weights, strict=True) if t.requires_grad]
        self.batch, self.longer = batch, math.sqrt(max(1.0, total / CAP))

    def __call__(self, grads: tuple[Tensor, ...], flipped: list[tuple[Tensor, ...]], scale: float) -> None:
        for i, (weight, g) in enumerate(zip(self.weights, grads, strict=True)):
            energy = self._for_batch(_energy(g), [_energy(others[i]) for others in flipped])
            self.call.run.learn(weight, math.sqrt(energy) * scale * self.longer)

    def _for_batch(self, energy: float, flipped: list[float]) -> float:
        """B·own + B(B − 1)·shared, from n·own + n(n − 1)·shared and, signs turned round, n·(own − shared)."""
        n, b = SAMPLES, self.batch
        if not flipped:
            return energy * b / n
        turned = sum(flipped) / len(flipped)
        own, shared = (energy + (n - 1) * turned) / n**2, (energy - turned) / n**2
        return max(0.0, b * own + b * (b - 1) * shared)


def _energy(g: Tensor) -> float:
    return P.rms(g.reshape(1, -1)) ** 2


def _note_times(call: Call, cell: Cell, x: Tensor, total: int) -> None:
    """Gradient per step with the cotangent on the last step only."""
    module = call.op.module
    if cell.bidirectional:
        return
    found = step_gradients(cell, x)
    gain = decades_per_step(found.hidden)
    call.run.times.append(TimeFlow(call.op.name, module, total, found.hidden, found.inputs, gain, cell.kind))


def decades_per_step(hidden: tuple[float, ...]) -> float:
    """Slope of log10 gradient against steps back in time, least squares over the steps where it is not zero."""
    points = [(len(hidden) - 1 - t, math.log10(v)) for t, v in enumerate(hidden) if v > 1e-280]
    if len(points) < 2:
        return 0.0 if len(hidden) < 2 else -math.inf
    back = torch.tensor([p[0] for p in points], dtype=P.DTYPE)
    value = torch.tensor([p[1] for p in points], dtype=P.DTYPE)
    back = back - back.mean()
    return float((back * (value - value.mean())).sum() / back.square().sum())


RULES: dict[str, Transfer] = dict.fromkeys("lstm gru rnn_tanh rnn_relu".split(), recurrence)
