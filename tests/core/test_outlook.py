"""The effort that a model will need: what it is made of."""

import math

import pytest

from gradlint.core.flow import Flow, TimeFlow
from gradlint.core.outlook import Outlook, outlook
from gradlint.core.tangents import Tangent, Tangents


def test_sgd_needs_the_larger_of_two_efforts_and_adam_their_sum() -> None:
    found = Outlook(scrambling=1.0, slowness=6.0, slowness_adam=2.0, forgetting=0.0)
    assert found.effort("sgd") == pytest.approx(3.0)
    assert found.effort("adam") == pytest.approx(1.8)


def test_what_is_forgotten_adds_to_both_until_nothing_is_left() -> None:
    for optimiser in ("sgd", "adam"):
        assert Outlook(0, 0, 0, forgetting=5.0).effort(optimiser) == pytest.approx(1.5)
        assert Outlook(0, 0, 0, forgetting=math.inf).effort(optimiser) == pytest.approx(2.4)


def test_only_a_recurrence_whose_first_steps_are_read_through_the_others_forgets() -> None:
    tangents = Tangents({"weight": Tangent(own=2.0, shared=1.0, gradient_rms=1.0, value_rms=0.1)}, variation=0.1)
    last = TimeFlow("rnn", "rnn", 4, (1e-3, 1e-2, 1e-1, 1.0), gain=-1.0, arriving=(1e-3, 1e-2, 1e-1, 1.0))
    mean = TimeFlow("rnn", "rnn", 4, (1e-3, 1e-2, 1e-1, 1.0), gain=-1.0, arriving=(1.0, 1.0, 1.0, 1.0))
    growing = TimeFlow("cell", "cell", 4, (8.0, 4.0, 2.0, 1.0), gain=0.3)
    assert outlook(tangents, Flow({}, {}, times=(last, mean))).forgetting == pytest.approx(3.0)
    assert outlook(tangents, Flow({}, {}, times=(mean, growing))).forgetting == 0.0
