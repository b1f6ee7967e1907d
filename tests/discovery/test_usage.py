"""How a file builds and feeds its own models."""

import textwrap
from typing import Any

import pytest

from gradlint.core.target import InputSpec, Target
from gradlint.discovery import find_targets, scan_file

NET = """
import argparse
import torch
import torch.nn as nn
class Block(nn.Module):
    def forward(self, x): return x
class Net(nn.Module):
    def __init__(self, *args, **kwargs): super().__init__()
    def forward(self, *x): return x
WIDTH = 8
SIZES = [16] * 2
"""


def target(usage: str) -> Target:
    return next(t for t in find_targets(scan_file("model.py", NET + textwrap.dedent(usage))) if t.name == "Net")


def main(*lines: str) -> Target:
    return target("if __name__ == '__main__':\n" + "\n".join(f"    {line}" for line in lines))


@pytest.mark.parametrize(
    ("call", "args", "kwargs"),
    [
        ("Net()", (), {}),
        ("Net(10, hidden=64)", (10,), {"hidden": 64}),
        ("Net(WIDTH * 2 + 1)", (17,), {}),
        ("Net(-1, 2 ** 3, 7 // 2, 0.5)", (-1, 8, 3, 0.5), {}),
        ("Net((1, 2), [3], 'a', None, True)", ((1, 2), [3], "a", None, True), {}),
        ("Net(SIZES, {'a': 1})", ([16, 16], {"a": 1}), {}),
        ("Net(*SIZES)", (16, 16), {}),
        ("Net(**{'depth': 3})", (), {"depth": 3}),
        ("Net(int('4'))", (4,), {}),
        ("Net(Block)", ({"expression": "Block"},), {}),
        ("Net(nn.ReLU(), act=torch.relu)", ({"expression": "nn.ReLU()"},), {"act": {"expression": "torch.relu"}}),
    ],
)
def test_constructor_arguments(call: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    found = main(f"net = {call}")
    assert found.args == args
    assert found.kwargs == kwargs
    assert found.built == "as in model.py:13"


def test_local_names_are_replaced_by_what_they_were_assigned() -> None:
    found = main("width = 4", "block = Block()", "net = Net(width, block, [width, block])")
    assert found.args == (4, {"expression": "Block()"}, {"expression": "[4, Block()]"})


@pytest.mark.parametrize("argument", ["len(data)", "lambda x: x", "unknown", "9 ** 9 ** 9", "[0] * 10 ** 9"])
def test_an_argument_that_cannot_be_read_leaves_the_target_open(argument: str) -> None:
    found = main("for data in []:", "    pass", f"net = Net({argument})")
    assert found.args is None
    assert found.built == "defaults"


def test_command_line_defaults() -> None:
    found = main(
        "parser = argparse.ArgumentParser()",
        "parser.add_argument('--hidden-size', '-s', type=int, default=WIDTH)",
        "parser.add_argument('--deep', action='store_true')",
        "options = parser.parse_args()",
        "net = Net(options.hidden_size, deep=options.deep)",
    )
    assert (found.args, found.kwargs) == ((8,), {"deep": False})


@pytest.mark.parametrize(
    ("expression", "shape", "dtype", "high"),
    [
        ("torch.randn(4, 3, 32, 32)", (4, 3, 32, 32), "float32", None),
        ("torch.rand((4, WIDTH))", (4, 8), "float32", None),
        ("torch.zeros(size=(2, 3))", (2, 3), "float32", None),
        ("torch.randn(2, *SIZES)", (2, 16, 16), "float32", None),
        ("torch.randn(2, 3, dtype=torch.float64)", (2, 3), "float64", None),
        ("torch.randn(2, 3).double()", (2, 3), "float64", None),
        ("torch.ones(2, 3).to('cuda').unsqueeze(0)", (1, 2, 3), "float32", None),
        ("torch.ones(2, 3).unsqueeze(-1)", (2, 3, 1), "float32", None),
        ("torch.randn(2, 12).view(2, 3, -1)", (2, 3, 4), "float32", None),
        ("torch.autograd.Variable(torch.randn(2, 3))", (2, 3), "float32", None),
        ("torch.randint(0, 100, (2, 16))", (2, 16), "int64", 100),
        ("torch.randint(50, (2, 16))", (2, 16), "int64", 50),
        ("torch.randint(low=1, high=9, size=[3])", (3,), "int64", 9),
        ("torch.arange(12)", (12,), "int64", 12),
        ("torch.tensor([[1, 2, 5]])", (1, 3), "int64", 6),
        ("torch.LongTensor([[1, 2], [3, 4]])", (2, 2), "int64", 5),
        ("torch.tensor([0.5, 1.0])", (2,), "float32", None),
        ("torch.zeros(2, 5).long()", (2, 5), "int64", None),
        ("torch.full((2, 2), 0.5)", (2, 2), "float32", None),
    ],
)
def test_inputs(expression: str, shape: tuple[int, ...], dtype: str, high: int | None) -> None:
    found = main("net = Net()", f"x = {expression}", "y = net(x)")
    assert found.inputs is not None
    (spec,) = found.inputs
    assert (spec.shape, spec.dtype, spec.high) == (shape, dtype, high)
    assert found.inputs_from == "as in model.py:15"


def test_keyword_and_literal_inputs() -> None:
    found = main("net = Net()", "net.forward(torch.randn(2, 3), mask=None, t=torch.arange(2))")
    assert found.inputs == (
        InputSpec((2, 3)),
        InputSpec((), "literal", "mask"),
        InputSpec((2,), "int64", "t", high=2),
    )


def test_an_input_rebound_on_the_way() -> None:
    found = main("net = Net().eval()", "x = torch.randn(2, 3)", "x = x.to('cuda')", "x = x.unsqueeze(1)", "net(x)")
    assert found.inputs == (InputSpec((2, 1, 3)),)


def test_inputs_that_cannot_be_read_are_left_open() -> None:
    assert main("net = Net()", "for x in loader:", "    net(x)").inputs is None


def test_a_loop_over_literals_takes_the_last() -> None:
    assert main("for depth in (2, 5, 50):", "    net = Net(depth)").args == (50,)


def test_a_fed_construction_is_preferred_to_an_earlier_one() -> None:
    found = target("def f():\n    Net(1)\ndef test_net():\n    net = Net(2)\n    net(torch.randn(2, 2))\n")
    assert (found.args, found.inputs) == ((2,), (InputSpec((2, 2)),))


def test_a_unittest_case_is_followed_from_its_set_up() -> None:
    found = target(
        """
        import unittest
        class NetTest(unittest.TestCase):
            def test_shape(self):
                self.net(torch.randn(5, 4))
            def setUp(self):
                self.net = Net(4)
        """
    )
    assert (found.args, found.inputs) == ((4,), (InputSpec((5, 4)),))


def test_a_call_on_the_fresh_instance() -> None:
    assert main("print(Net(3)(torch.randn(7, 3)).shape)").inputs == (InputSpec((7, 3)),)


def test_tuple_assignment_builds_once() -> None:
    scan = scan_file("model.py", NET + "def f():\n    a, b = Net(1), Net(2)\n")
    assert [made.args for made in scan.constructions] == [(1,), (2,)]
