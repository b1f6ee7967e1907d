"""One weight that acts several times: it is not drawn anew, and its gradient's contributions add up coherently."""

import math
from collections.abc import Callable

import pytest
import torch
from _compare import Case, check, each, figures, predict
from _modules import WIDTH, Chain, Op, Skip, dense
from torch import Tensor, nn
from torch.nn import functional as F

import gradlint
from gradlint.building import adopt
from gradlint.building.built import Fed, ParameterValues
from gradlint.propagation import propagate
from gradlint.tracing import trace


class Again(nn.Module):
    """One module applied several times, then a head."""

    def __init__(self, inner: nn.Module, times: int, head: nn.Module | None = None) -> None:
        super().__init__()
        self.inner, self.times, self.head = inner, times, head or dense()

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(self.times):
            x = self.inner(x)
        y: Tensor = self.head(x)
        return y


class Transposed(nn.Module):
    """A layer and its own transpose."""

    def __init__(self, turn: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.tied, self.head = dense(), dense(WIDTH, 2 * WIDTH), dense()
        self.turn = turn

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.tied(torch.tanh(self.first(x))))
        y: Tensor = self.head(torch.tanh(F.linear(h, self.turn(self.tied.weight))))
        return y


class Branches(nn.Module):
    """One layer in two branches on related inputs."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.tied, self.head, self.join = dense(), dense(), join

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.join(torch.relu(self.tied(x)), torch.tanh(self.tied(torch.tanh(x)))))
        return y


class Decoder(nn.Module):
    """A gated cell whose every state is read."""

    def __init__(self, cell: type[nn.RNNCellBase]) -> None:
        super().__init__()
        self.cell, self.head = cell(WIDTH, WIDTH), dense()  # type: ignore[call-arg,arg-type]

    def forward(self, x: Tensor) -> Tensor:
        h = x.new_zeros(x.shape[0], WIDTH)
        state = (h, h) if isinstance(self.cell, nn.LSTMCell) else h
        steps = []
        for t in range(x.shape[1]):
            state = self.cell(x[:, t], state)
            steps.append(state[0] if isinstance(state, tuple) else state)
        y: Tensor = self.head(torch.stack(steps, 1))
        return y


def block() -> nn.Module:
    return Skip(dense(), nn.ReLU(), dense())


def encoder() -> nn.Module:
    return nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.0, batch_first=True, norm_first=True)


def image(channels: int = 32) -> nn.Module:
    inner = Skip(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
    return Chain(nn.Conv2d(3, channels, 3, padding=1), Again(inner, 4, nn.Conv2d(channels, channels, 1)))


VECTORS = ((32, WIDTH),)
SHARED = (
    Case("a layer, six times", lambda: Again(Skip(dense(), nn.Tanh()), 6), VECTORS, 0.05),
    Case("a layer without a nonlinearity, six times", lambda: Again(Skip(dense()), 6), VECTORS, 0.05),
    Case("a residual block, twelve times", lambda: Again(block(), 12), VECTORS, 0.08, seeds=4),
    Case(
        "a pre-norm block, four times",
        lambda: Again(Skip(nn.LayerNorm(WIDTH), dense(WIDTH, 4 * WIDTH), nn.GELU(), dense(4 * WIDTH)), 4),
        VECTORS,
    ),
    Case("an encoder layer, six times", lambda: Again(encoder(), 6), ((8, 16, WIDTH),), 0.1),
    Case("a convolution, four times", image, ((8, 3, 16, 16),), 0.05, seeds=4),
    Case("a layer and its transpose", lambda: Transposed(lambda w: w.t()), VECTORS, 0.05),
    Case("a transpose by permute", lambda: Transposed(lambda w: w.permute(1, 0)), VECTORS, 0.05),
    Case("two branches, added", lambda: Branches(torch.add), VECTORS),
    Case("two branches, subtracted", lambda: Branches(torch.sub), VECTORS),
    Case("two branches, side by side", lambda: Chain(Branches(lambda a, b: torch.maximum(a, b))), VECTORS, 0.06),
    Case("GRU cell", lambda: Decoder(nn.GRUCell), ((8, 6, WIDTH),), 0.06),
    Case("LSTM cell", lambda: Decoder(nn.LSTMCell), ((8, 6, WIDTH),), 0.06),
    Case("LSTM cell, as often as its width is felt", lambda: Decoder(nn.LSTMCell), ((8, 12, WIDTH),), 0.08),
)


@each(SHARED)
def test_a_weight_that_acts_again(case: Case) -> None:
    check(case)


def walk(recurrent: Callable[[Tensor], Tensor]) -> nn.Module:
    class Walk(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.RNNCell(6, 48), nn.Linear(48, 6)
            recurrent(self.cell.weight_hh.data)

        def forward(self, x: Tensor) -> Tensor:
            h = x.new_zeros(x.shape[1], 48)
            for step in x:
                h = self.cell(step, h)
            y: Tensor = self.head(h)
            return y

    return Walk()


@pytest.mark.parametrize("recurrent", [lambda w: w, nn.init.orthogonal_, nn.init.eye_])
def test_a_loop_takes_powers_of_its_own_matrix(recurrent: Callable[[Tensor], Tensor]) -> None:
    errors = []
    for seed in range(3):
        torch.manual_seed(seed)
        model, x = walk(recurrent), torch.randn(100, 8, 6)
        (predicted,) = gradlint.flow(model, (x,)).times
        (measured,) = gradlint.measure(model.double(), (x.double(),)).times
        errors.append(math.log10(predicted.hidden[0] / measured.hidden[0]))
    assert abs(sum(errors)) / len(errors) < 0.8  # of up to 25 decades; draws anew at each step miss eight of them


@pytest.mark.parametrize("make", [lambda: Again(block(), 4), lambda: Decoder(nn.GRUCell), lambda: Transposed(torch.t)])
def test_laws_serve_as_well_as_values(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = make()
    x = torch.randn(8, 6, WIDTH) if isinstance(model, Decoder) else torch.randn(8, WIDTH)
    built = adopt(model)
    graph = trace(built, Fed((x,), {}))
    laws = {
        name: ParameterValues(v.shape, None, v.values.double().reshape(-1)[:2048])
        for name, v in built.values.items()
        if v.values is not None
    }
    real, drawn = figures(propagate(graph, built.values)), figures(propagate(graph, laws))
    for name, value in real.items():
        other = drawn[name]
        assert value and other and abs(math.log10(value / other)) < 0.06, name


def test_halves_of_one_parameter_are_two_matrices() -> None:
    class Halves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.head = nn.Parameter(torch.randn(2 * WIDTH, WIDTH) / 12), dense()

        def forward(self, x: Tensor) -> Tensor:
            a, b = self.weight.chunk(2)
            y: Tensor = self.head(F.linear(x, a) + F.linear(x, b))
            return y

    check(Case("halves", Halves, VECTORS, 0.04))


def test_what_is_read_once_is_as_it_was() -> None:
    torch.manual_seed(0)
    model = Chain(dense(), nn.Tanh(), dense(), Op(lambda x: x + 1))
    assert not trace_repeats(model)


def trace_repeats(model: nn.Module) -> bool:
    from gradlint.propagation.repeats import Repeats

    built = adopt(model)
    graph = trace(built, Fed((torch.randn(4, WIDTH),), {}))
    assert predict(model, torch.randn(4, WIDTH)).unknown == ()
    return bool(Repeats.of(graph.graph).reads)
