"""Verdicts."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from gradlint.core.finding import Claim, Finding, Severity, Verdict
from gradlint.core.location import Location, Site
from gradlint.core.target import LossUse
from gradlint.probe import ProbeInput, judge
from gradlint.probe.judge import verdict_of
from gradlint.probe.losses import loss_for
from gradlint.probe.quantities import QUANTITIES, Measured


def finding(claim: Claim | None) -> Finding:
    return Finding("GL101", "test", Severity.ERROR, "text", (Site(Location("m.py", 1)),), claim=claim)


def stack() -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for _ in range(15):
        layers += [nn.Linear(16, 16), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.BatchNorm1d(16))


def test_confirmed_with_figures(traced: Any) -> None:
    given = ProbeInput(*traced(stack(), torch.randn(8, 16)))

    (found,) = judge([finding(Claim("attenuation", "0.weight", threshold=4.0))], given)

    assert found.verdict is Verdict.CONFIRMED
    assert found.verdict_reason == ""
    assert found.measured["value"] == found.measured["attenuation"] > 4  # type: ignore[operator]
    assert "by a real backward pass" in str(found.measured["summary"])
    assert found.measured["loss"] == "cross-entropy"
    assert found.measured["loss_ratio_decades"] == pytest.approx(found.measured["value"], abs=1.0)


def test_refuted_with_a_reason(traced: Any) -> None:
    given = ProbeInput(*traced(nn.Linear(4, 4), torch.randn(8, 4)))

    (found,) = judge([finding(Claim("attenuation", "", threshold=4.0))], given)

    assert found.verdict is Verdict.REFUTED
    assert found.verdict_reason == "0 decades instead of at least 4"


def test_without_a_claim_nothing_changes(traced: Any) -> None:
    given = ProbeInput(*traced(nn.Linear(4, 4), torch.randn(8, 4)))
    before = finding(None)

    assert judge([before], given) == (before,)


@pytest.mark.parametrize(
    ("value", "threshold", "near", "verdict"),
    [
        (10.0, 10.0, None, Verdict.CONFIRMED),
        (math.inf, 10.0, None, Verdict.CONFIRMED),
        (8.6, 10.0, None, Verdict.INCONCLUSIVE),
        (8.4, 10.0, None, Verdict.REFUTED),
        (math.nan, 10.0, None, Verdict.INCONCLUSIVE),
        (None, 10.0, None, Verdict.INCONCLUSIVE),
        (5.0, None, None, Verdict.INCONCLUSIVE),
        (0.99985, 0.9999, 2e-4, Verdict.INCONCLUSIVE),
        (0.99, 0.9999, 2e-4, Verdict.REFUTED),
    ],
)
def test_verdicts(value: float | None, threshold: float | None, near: float | None, verdict: Verdict) -> None:
    found, reason = verdict_of(Claim("x", threshold=threshold), Measured(value, "because", near=near))

    assert found is verdict
    assert (reason == "") == (verdict is Verdict.CONFIRMED)


def test_a_failing_measurement_is_inconclusive_and_says_why(traced: Any) -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.passes = 1

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.passes:
                raise RuntimeError("second time")
            return self.a(x)

    model = Fails()
    graph, built, fed = traced(model, torch.ones(1, 2))
    model.passes = 0

    (found,) = judge([finding(Claim("attenuation", "a", threshold=1.0))], ProbeInput(graph, built, fed))

    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.verdict_reason == "the measurement failed: RuntimeError: second time"


def test_what_cannot_be_run_has_no_verdict(traced: Any) -> None:
    graph, _, _ = traced(nn.Linear(2, 2), torch.ones(1, 2))
    from gradlint.building.built import BuiltModel

    fake = BuiltModel(None, graph.model, {}, {}, {}, fake_mode=object())
    real = BuiltModel(None, graph.model, {}, {}, {})

    for given, reason in ((ProbeInput(graph, fake, None), "too large"), (ProbeInput(graph, real, None), "no example")):
        (found,) = judge([finding(Claim("attenuation", "", threshold=1.0))], given)
        assert found.verdict is None
        assert reason in found.verdict_reason
        assert reason in given.obstacle


def test_an_unknown_quantity_is_named(traced: Any) -> None:
    given = ProbeInput(*traced(nn.Linear(2, 2), torch.ones(1, 2)))

    (found,) = judge([finding(Claim("no-such-thing", threshold=1.0))], given)

    assert (found.verdict, found.verdict_reason) == (Verdict.INCONCLUSIVE, "no quantity is called no-such-thing")


@pytest.mark.parametrize("kind", sorted(QUANTITIES))
def test_the_model_is_left_as_found_by_every_quantity(traced: Any, kind: str) -> None:
    model = stack()
    model[0].weight.grad = torch.ones(16, 16)
    state = {k: v.clone() for k, v in model.state_dict().items()}
    given = ProbeInput(*traced(model, torch.randn(8, 16)))
    generator = torch.get_rng_state()

    for subject in ("0", "0.weight", "sigmoid"):
        judge([finding(Claim(kind, subject, threshold=1.0))], given)

    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), generator)
    assert model[0].weight.grad is not None and bool((model[0].weight.grad == 1).all())
    assert model[2].weight.grad is None
    assert all(m.training for m in model.modules())


@pytest.mark.parametrize(
    ("output", "uses", "name"),
    [
        (torch.randn(4, 5), (), "cross-entropy"),
        (torch.randn(4, 5), ("MSELoss",), "mean squared error"),
        (torch.randn(4, 5), ("CrossEntropyLoss",), "cross-entropy"),
        (torch.randn(4, 5, 3, 3), ("cross_entropy",), "cross-entropy"),
        (torch.randn(4, 5).log_softmax(-1), ("NLLLoss",), "negative log-likelihood"),
        (torch.randn(4, 1), ("BCEWithLogitsLoss",), "binary cross-entropy with logits"),
        (torch.rand(4, 1), ("BCELoss",), "binary cross-entropy"),
        (torch.randn(4, 1), (), "mean squared error"),
        (torch.rand(4, 5), (), "mean squared error"),
    ],
)
def test_losses(output: torch.Tensor, uses: tuple[str, ...], name: str) -> None:
    leaf = output.clone().requires_grad_()

    loss = loss_for([leaf], [LossUse(use, "m.py", 1) for use in uses])
    value = loss.compute([leaf])
    value.backward()

    assert loss.name == name
    assert value.dim() == 0 and bool(value.isfinite())
    assert leaf.grad is not None and bool(leaf.grad.any())
