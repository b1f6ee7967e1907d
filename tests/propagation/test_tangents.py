"""The predicted tangent kernel against the real one: Θ(a, a) and Θ(a, b) from per-sample Jacobians."""

import math
from collections.abc import Callable
from statistics import mean

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from gradlint.building import adopt
from gradlint.building.built import Fed
from gradlint.core.tangents import Tangent, Tangents
from gradlint.propagation import propagate_both, tangents
from gradlint.tracing import trace

SEEDS, BATCH, WIDTH = 3, 12, 64
WITHIN = 0.1
"""Decades of RMS (half of those of the kernel), of the mean over initialisations; one scatters by 0.1 to 0.2."""


def stack(depth: int, activation: type[nn.Module], norm: Callable[..., nn.Module] | None = None) -> nn.Module:
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Linear(WIDTH, WIDTH), *([norm(WIDTH, track_running_stats=False)] if norm else []), activation()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, 4))


class Images(nn.Sequential):
    def __init__(self) -> None:
        convolutions = [nn.Conv2d(c, 32, 3, padding=1) for c in (3, 32, 32)]
        for layer in convolutions:
            nn.init.kaiming_normal_(layer.weight)
        first, second, third = convolutions
        super().__init__(first, nn.ReLU(), second, nn.ReLU(), third, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.append(nn.Linear(32, 4))


class Sequences(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.RNN(WIDTH, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inside(x)[0][:, -1])  # type: ignore[no-any-return]


CASES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "tanh": (lambda: stack(5, nn.Tanh), (BATCH, WIDTH)),
    "sigmoid, collapsing": (lambda: stack(4, nn.Sigmoid), (BATCH, WIDTH)),
    "batch norm": (lambda: stack(4, nn.ReLU, nn.BatchNorm1d), (BATCH, WIDTH)),
    "images": (Images, (BATCH, 3, 8, 8)),
    "recurrence": (Sequences, (BATCH, 8, WIDTH)),
}


def real(model: nn.Module, x: Tensor) -> tuple[float, float]:
    """Θ(a, a) and Θ(a, b), means over samples and outputs."""
    jacobians = jacrev(lambda p: functional_call(model, p, (x,)))(dict(model.named_parameters()))
    flat = torch.cat([j.flatten(2) for j in jacobians.values()], 2).detach()  # [B, K, N]
    kernel = torch.einsum("akn,bkn->ab", flat, flat) / flat.shape[1]
    own = float(kernel.diagonal().mean())
    count = len(kernel)
    return own, (float(kernel.sum()) - count * own) / (count * (count - 1))


def predicted(model: nn.Module, x: Tensor) -> Tangents:
    built = adopt(model)
    graph = trace(built, Fed((x,)))
    found = tangents(graph, propagate_both(graph, built.values))
    assert found is not None
    return found


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # jacrev, where an operator has no batching rule
@pytest.mark.parametrize(("build", "shape"), CASES.values(), ids=CASES)
def test_kernel(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    whole, varied = [], []
    for seed in range(SEEDS):
        torch.manual_seed(seed)
        model, x = build(), torch.randn(shape)
        found = predicted(model, x)
        own, shared = real(model.double(), x.double())
        whole.append(0.5 * math.log10(found.own / own))
        varied.append(0.5 * math.log10(found.varied / (own - shared)))
    assert abs(mean(whole)) < WITHIN
    assert abs(mean(varied)) < WITHIN


def test_one_sample_tells_nothing_of_two() -> None:
    model = stack(1, nn.ReLU)
    built = adopt(model)
    graph = trace(built, Fed((torch.randn(1, WIDTH),)))
    assert tangents(graph, propagate_both(graph, built.values)) is None


class Neighbours(nn.Module):
    """A graph's nodes along the first dim, each of which weighs all others."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.a(x))
        seen: torch.Tensor = self.b(torch.softmax(h @ h.T, 1) @ h)
        return seen


def test_samples_that_read_each_other_are_no_samples_to_tell_apart() -> None:
    built = adopt(Neighbours())
    graph = trace(built, Fed((torch.randn(32, WIDTH),)))
    flows = propagate_both(graph, built.values)
    assert flows.apart.mixes_samples
    assert tangents(graph, flows) is None


def test_slowness_is_the_share_of_a_step_that_tells_samples_apart() -> None:
    parts = {"weight": Tangent(own=4.0, shared=3.0, gradient_rms=2.0), "bias": Tangent(6.0, 6.0, 1.0)}
    assert Tangents(parts).slowness == pytest.approx(1.0)  # 10 / 1
    assert Tangents(parts).slowness_adam == pytest.approx(math.log10((4 / 2 + 6) / (1 / 2)))
    assert Tangents({"bias": Tangent(1.0, 1.0, 1.0)}).slowness == math.inf
    assert Tangents({"weight": Tangent(1e-4, 0.0, 1.0)}).slowness == pytest.approx(4.0)  # rates end at 1


def test_scrambling_is_what_a_change_of_the_weights_does_to_the_differences_between_samples() -> None:
    parts = {"weight": Tangent(own=100.0, shared=0.0, gradient_rms=1.0, value_rms=0.3)}
    assert Tangents(parts, variation=0.03).scrambling == pytest.approx(2.0)  # 10 · 0.3 / 0.03
    alike = {"bias": Tangent(own=100.0, shared=100.0, gradient_rms=1.0, value_rms=0.3)}
    assert Tangents(alike, variation=0.03).scrambling == 0.0  # what moves all answers alike scrambles none
    assert Tangents(parts).scrambling == 0.0  # no difference yet: a head of zeros


def moved(model: nn.Module, x: Tensor, small: float = 1e-4) -> float:
    """log10 of what a small change of all weights does to the differences between outputs, relative to these."""
    with torch.no_grad():
        before = model(x)
        for parameter in model.parameters():
            parameter.add_(small * parameter.square().mean().sqrt() * torch.randn_like(parameter))
        moved = model(x) - before
        change = (moved - moved.mean(0)).square().mean().sqrt() / small
    return math.log10(change / (before - before.mean(0)).square().mean().sqrt())


def test_scrambling_against_weights_that_are_really_moved() -> None:
    errors = []
    for seed in range(6):
        torch.manual_seed(seed)
        model, x = stack(3, nn.Tanh).double(), torch.randn(256, WIDTH, dtype=torch.float64)
        errors.append(predicted(model, x).scrambling - moved(model, x))
    assert abs(mean(errors)) < WITHIN
