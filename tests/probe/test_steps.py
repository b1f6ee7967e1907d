"""Gradients over time against recurrences that can be computed by hand."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.core.flow import TimeFlow
from gradlint.probe import measure
from gradlint.probe.backward import cotangents
from gradlint.probe.steps import gain_per_step, measure_times


def shrinking(factor: float, size: int = 4) -> nn.RNN:
    """h_t = relu(x_t + factor·h_{t-1}), all positive: ∂h_T/∂h_t = factor^(T-t)."""
    rnn = nn.RNN(size, size, nonlinearity="relu", batch_first=True, bias=False)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.eye(size))
        rnn.weight_hh_l0.copy_(factor * torch.eye(size))
    return rnn


def only(times: tuple[TimeFlow, ...]) -> TimeFlow:
    (found,) = times
    return found


class Wrapped(nn.Module):
    def __init__(self, rnn: nn.RNNBase) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Any) -> torch.Tensor:
        out: torch.Tensor = self.rnn(x)[0]
        return out


def test_a_linear_recurrence() -> None:
    flow = only(measure(Wrapped(shrinking(0.5)), torch.rand(3, 12, 4)).times)

    assert (flow.name, flow.module, flow.steps, flow.cell) == ("rnn", "rnn", 12, "rnn_relu")
    assert flow.gain == pytest.approx(math.log10(0.5))
    assert [h / flow.hidden[-1] for h in flow.hidden] == pytest.approx([0.5 ** (11 - t) for t in range(12)])
    assert [x / flow.hidden[-1] for x in flow.inputs] == pytest.approx([0.5 ** (11 - t) for t in range(12)])
    assert flow.horizon(3) == pytest.approx(3 / -math.log10(0.5))


def test_time_first_and_unbatched() -> None:
    rnn = shrinking(0.5)
    rnn.batch_first = False
    for shape in ((12, 3, 4), (12, 4)):
        assert only(measure_times(Wrapped(rnn), torch.rand(*shape))).gain == pytest.approx(math.log10(0.5))


def test_gradients_far_below_single_precision() -> None:
    flow = only(measure_times(Wrapped(shrinking(0.01)), torch.rand(2, 60, 4)))

    assert flow.gain == pytest.approx(-2)
    assert flow.hidden[0] == pytest.approx(flow.hidden[-1] * 1e-118, rel=1e-6)


def test_the_cap_keeps_the_last_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gradlint.probe.steps.CAP", 5)

    flow = only(measure_times(Wrapped(shrinking(0.5)), torch.rand(2, 12, 4)))

    assert (flow.steps, len(flow.hidden)) == (12, 5)
    assert flow.gain == pytest.approx(math.log10(0.5))


def test_unrolling_agrees_with_autograd_through_the_fused_lstm() -> None:
    """∂L/∂x_t is also known from the fused operator itself."""
    torch.manual_seed(0)
    lstm = nn.LSTM(3, 5, num_layers=2, batch_first=True).double()
    x = torch.randn(2, 7, 3, dtype=torch.float64)

    flow = only(measure_times(Wrapped(lstm), x, seed=0))

    leaf = x.clone().requires_grad_()
    out = lstm(leaf)[0][:, -1]
    c = cotangents([leaf.new_empty(1, 2, 5)], 0)[0][0]
    (gradient,) = torch.autograd.grad(out, leaf, c)
    expected = gradient.pow(2).mean((0, 2)).sqrt().tolist()
    assert list(flow.inputs) == pytest.approx(expected)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("options", [{"bidirectional": True, "num_layers": 2}, {"bias": False}])
def test_all_kinds_are_unrolled(kind: type[nn.RNNBase], options: dict[str, Any]) -> None:
    rnn = kind(3, 5, batch_first=True, **options)  # type: ignore[arg-type]

    flow = only(measure_times(Wrapped(rnn), torch.randn(2, 6, 3)))

    assert len(flow.hidden) == len(flow.inputs) == 6
    assert all(0 < value < 100 for value in (*flow.hidden, *flow.inputs))
    assert flow.cell == rnn.mode.lower()


def test_packed_sequences() -> None:
    packed = nn.utils.rnn.pack_padded_sequence(torch.rand(2, 6, 4), torch.tensor([6, 3]), batch_first=True)

    class Packed(Wrapped):
        def forward(self, x: Any) -> torch.Tensor:
            out: torch.Tensor = self.rnn(x)[0].data
            return out

    assert only(measure_times(Packed(shrinking(0.5)), (packed,))).gain == pytest.approx(math.log10(0.5))


class Loop(nn.Module):
    """h = relu(x_t + 0.5·h), written out with a layer of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.back = nn.Linear(4, 4, bias=False)
        self.into = nn.Linear(4, 4, bias=False)
        self.act = nn.ReLU()
        with torch.no_grad():
            self.back.weight.copy_(0.5 * torch.eye(4))
            self.into.weight.copy_(torch.eye(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.zeros(len(x), 4)
        for t in range(x.shape[1]):
            h = self.act(self.into(x[:, t]) + self.back(h))
        return h


def test_a_hand_written_loop() -> None:
    flow = only(measure(Loop(), torch.rand(3, 8, 4)).times)

    assert (flow.module, flow.cell, flow.steps) == ("back", "loop", 8)
    assert flow.gain == pytest.approx(math.log10(0.5))
    assert flow.hidden[0] == pytest.approx(flow.hidden[-1] * 0.5**7)


def test_cells_with_inputs_that_are_data() -> None:
    class Cells(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTMCell(4, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = c = torch.zeros(len(x), 5)
            for t in range(x.shape[1]):
                h, c = self.cell(x[:, t], (h, c))
            return h

    flow = only(measure(Cells(), torch.randn(3, 6, 4)).times)

    assert (flow.cell, flow.steps, len(flow.inputs)) == ("lstm", 6, 6)
    assert all(value > 0 for value in flow.inputs)
    assert flow.gain < 0


def test_shared_activations_are_no_recurrence() -> None:
    act = nn.ReLU()

    assert (
        measure(nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 4), act), torch.rand(2, 4)).times
        == ()
    )


@pytest.mark.parametrize(
    ("hidden", "gain"),
    [([0.01, 0.1, 1.0], -1.0), ([0.0, 0.1, 1.0], -1.0), ([0.0, 0.0, 1.0], 0.0), ([4.0, 2.0, 1.0], math.log10(2))],
)
def test_gain(hidden: list[float], gain: float) -> None:
    assert gain_per_step(hidden) == pytest.approx(gain)
