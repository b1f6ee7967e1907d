"""What the code of a constructor says of a parameter."""

import ast

import pytest

from gradlint.discovery.arguments.sizes import size_of
from gradlint.discovery.arguments.usage import Kind, Usage, usage_of
from gradlint.discovery.arguments.variations import VARIATIONS
from gradlint.discovery.names import free_names


def usage(body: str) -> Usage:
    tree = ast.parse(f"class Net:\n    def __init__(self, shape):\n        {body}\n")
    return usage_of("shape", tree, lambda name: ())


@pytest.mark.parametrize(
    "body",
    [
        "channels, height, width = shape",
        "c, *rest = shape",
        "in_channels = shape[0]",
        "self.stem = nn.Conv2d(shape[0], 32, 3)",
    ],
)
def test_a_shape_that_leads_with_its_channels(body: str) -> None:
    found = usage(body)
    assert found.leads_with_channels
    assert size_of("shape", Kind.SEQUENCE, found, VARIATIONS[0], lambda: 224) == (3, 64, 64)


@pytest.mark.parametrize("body", ["height, width = shape", "first = shape[0]", "self.a = nn.Linear(shape[0], 3)"])
def test_a_shape_of_another_kind(body: str) -> None:
    assert not usage(body).leads_with_channels


def test_numbers_that_the_code_tells_apart_are_the_ones_it_takes() -> None:
    found = usage("\n        ".join(("if shape == 16: pass", "elif shape == 8: pass")))
    assert (found.kind, found.numbers) == (Kind.NUMBER, (16, 8))
    assert size_of("output_stride", found.kind, found, VARIATIONS[0], lambda: 224) == 16


def test_a_special_case_is_no_choice() -> None:
    found = usage("\n        ".join(("if shape == 1: pass", "if shape == 0: pass", "if shape > 30: pass")))
    assert size_of("widths", Kind.NUMBER, found, VARIATIONS[0], lambda: 224) not in (0, 1, 30)


def test_what_a_parameter_is_kept_as_is_used_like_the_parameter() -> None:
    assert usage("self.kept = shape; self.n = len(self.kept)").kind is Kind.SEQUENCE


def test_free_names_are_those_of_the_module_around() -> None:
    (definition,) = ast.parse(
        "class Net(Base):\n"
        "    width = WIDTH\n"
        "    def __init__(self, hidden, act=ACT):\n"
        "        local = hidden + GLOBAL\n"
        "        self.layers = [make(i, local) for i in range(hidden)]\n"
    ).body
    assert free_names(definition) == {"Base", "WIDTH", "ACT", "GLOBAL", "make", "range"}
