"""Recurrences: fused, single cells, loops written by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from _compare import Case, check, each, predict
from _modules import WIDTH, Chain, Op, dense
from torch import Tensor, nn

import gradlint

SEQUENCE = (8, 12, WIDTH)


class Reads(nn.Module):
    """Run a recurrence and read something of what it returns."""

    def __init__(self, inside: nn.Module, what: Callable[[Any], Tensor]) -> None:
        super().__init__()
        self.inside, self.what = inside, what

    def forward(self, x: Tensor) -> Tensor:
        return self.what(self.inside(x))


class Loop(nn.Module):
    """A cell called step by step."""

    def __init__(self, cell: nn.Module, *, every: bool = False) -> None:
        super().__init__()
        self.cell, self.every = cell, every
        self.gated = isinstance(cell, nn.LSTMCell)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], WIDTH)
        state: Any = (h, h) if self.gated else h
        steps = []
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            steps.append(state[0] if self.gated else state)
        return torch.stack(steps, 1) if self.every else steps[-1]


class ByHand(nn.Module):
    """h ← tanh(W x + U h)."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs, self.states = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], WIDTH)
        for t in range(x.shape[1]):
            h = torch.tanh(self.inputs(x[:, t]) + self.states(h))
        return h


def sequence(result: Any) -> Tensor:
    return result[0]  # type: ignore[no-any-return]


def last(result: Any) -> Tensor:
    return result[0][:, -1]  # type: ignore[no-any-return]


def state(result: Any) -> Tensor:
    final = result[1][0] if isinstance(result[1], tuple) else result[1]
    return final[-1]  # type: ignore[no-any-return]


FUSED: dict[str, Callable[..., nn.Module]] = {
    "lstm": nn.LSTM,
    "gru": nn.GRU,
    "rnn": nn.RNN,
    "relu rnn": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
}


def fused(name: str, make: Callable[..., nn.Module], reader: Callable[[Any], Tensor], layers: int = 1) -> Case:
    """A recurrence of torch's, and a linear layer behind what is read of it."""
    return Case(
        name, lambda: Chain(Reads(make(WIDTH, WIDTH, layers, batch_first=True), reader), dense()), (SEQUENCE,), 0.06
    )


SEQUENCES = (
    *(
        fused(f"{name}, {reader.__name__}", make, reader)
        for name, make in FUSED.items()
        for reader in (sequence, last, state)
    ),
    *(fused(f"two layers of {name}", make, last, 2) for name, make in FUSED.items()),
    Case(
        "behind a layer",
        lambda: Chain(dense(bias=False), nn.GELU(), Reads(nn.LSTM(WIDTH, WIDTH, batch_first=True), sequence), dense()),
        (SEQUENCE,),
        within=0.06,
    ),
    Case(
        "both directions",
        lambda: Chain(Reads(nn.LSTM(WIDTH, WIDTH, batch_first=True, bidirectional=True), sequence), dense(2 * WIDTH)),
        (SEQUENCE,),
        within=0.06,
    ),
    Case("time first", lambda: Chain(Reads(nn.GRU(WIDTH, WIDTH), sequence), dense()), ((12, 8, WIDTH),), within=0.06),
    Case(
        "pooled over time",
        lambda: Chain(Reads(nn.GRU(WIDTH, WIDTH, batch_first=True), lambda r: r[0].mean(1)), dense()),
        (SEQUENCE,),
        within=0.06,
    ),
)
LOOPS = (
    Case("RNN cell", lambda: Chain(Loop(nn.RNNCell(WIDTH, WIDTH)), dense()), ((8, 6, WIDTH),)),
    Case("by hand", lambda: Chain(ByHand(), dense()), ((8, 6, WIDTH),)),
)


@each(SEQUENCES)
def test_fused_recurrence(case: Case) -> None:
    check(case)


@each(LOOPS)
def test_loop(case: Case) -> None:
    check(case)


class Started(nn.Module):
    """A recurrence that begins with a state computed from the input (captioning, decoders)."""

    def __init__(self, kind: type[nn.RNNBase], **settings: Any) -> None:
        super().__init__()
        self.first = nn.Linear(WIDTH, WIDTH)
        self.inside = kind(WIDTH, WIDTH, batch_first=True, **settings)
        self.head = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, steps, width) → (batch, width)."""
        h = torch.tanh(self.first(x.mean(1)))[None]
        start = (h, torch.zeros_like(h)) if isinstance(self.inside, nn.LSTM) else h
        y: Tensor = self.head(self.inside(x, start)[0][:, -1])
        return y


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_first_states_are_drawn_and_get_their_gradient(kind: type[nn.RNNBase]) -> None:
    check(Case("first state", lambda: Started(kind), ((16, 6, WIDTH),), within=0.12, seeds=6))


def test_one_step_at_a_time_is_one_recurrence() -> None:
    class Stepped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = nn.RNN(16, 16, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            state = torch.zeros(1, x.shape[0], 16)
            for t in range(x.shape[1]):
                out, state = self.rnn(x[:, t : t + 1], state)
            y: Tensor = out
            return y

    torch.manual_seed(0)
    flow = gradlint.flow(Stepped(), torch.randn(4, 40, 16))
    (times,) = flow.times
    assert (times.steps, times.module) == (40, "rnn")
    assert -1.0 < times.gain < -0.1


@pytest.mark.parametrize("picked", [lambda h: torch.cat((h[-2], h[-1]), 1), lambda h: torch.cat((h[0], h[1]), 1)])
def test_every_layer_whose_last_state_is_read_gets_a_gradient(picked: Callable[[Tensor], Tensor]) -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = nn.GRU(WIDTH, 48, 2, batch_first=True, bidirectional=True)
            self.head = nn.Linear(96, 64)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.head(picked(self.inside(x)[1]))
            return y

    torch.manual_seed(0)
    model, x = Both(), torch.randn(8, 10, WIDTH)
    predicted, measured = gradlint.flow(model, x).parameters(), gradlint.measure(model, x).parameters()
    for name, figures in measured.items():
        assert bool(predicted[name].gradient_rms) == bool(figures.gradient_rms), name


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
@pytest.mark.parametrize("read", [lambda y: y[:, -1], lambda y: y.mean(1), lambda y: y], ids=["last", "mean", "all"])
def test_what_arrives_at_each_step_as_the_model_reads_it(
    kind: type[nn.RNNBase], read: Callable[[Tensor], Tensor]
) -> None:
    class Read(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inside = kind(WIDTH, 48, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            return read(self.inside(x)[0])

    torch.manual_seed(0)
    model, x = Read(), torch.randn(64, 12, WIDTH, requires_grad=True)
    (times,) = gradlint.flow(model, x.detach()).times
    y = model(x)
    (gradient,) = torch.autograd.grad(y, x, torch.randn_like(y))
    measured = gradient.square().mean((0, 2)).sqrt()
    error = (torch.tensor(times.arriving) / measured).log10()
    assert len(error) == 12
    assert float(error.abs().max()) < 0.3  # four drawn samples, one cotangent each
    assert times.lost_as_read == pytest.approx(float((measured.max() / measured[0]).log10()), abs=0.3)


class Decaying(nn.Module):
    """A scan in parallel: each step reads those before it through the decays between them (Mamba-2)."""

    def __init__(self) -> None:
        super().__init__()
        self.decay, self.value = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        sums = (-nn.functional.softplus(self.decay(x))).cumsum(1)
        between = (sums.unsqueeze(2) - sums.unsqueeze(1)).masked_fill(
            ~torch.ones(24, 24, dtype=torch.bool).tril()[..., None], -torch.inf
        )
        mixed: Tensor = torch.einsum("btsd,bsd->btd", between.exp(), self.value(x))
        return mixed


def test_a_parallel_scan_is_named() -> None:
    flow = predict(Decaying(), torch.randn(8, 24, WIDTH))
    assert [unknown.op for unknown in flow.unknown if "scan" in unknown.op] == ["parallel scan"]


def test_a_running_sum_alone_is_no_scan() -> None:
    assert not predict(Chain(dense(), Op(lambda x: x.cumsum(1))), torch.randn(8, 24, WIDTH)).unknown
