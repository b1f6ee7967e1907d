"""Recurrences written by hand: gates that are convolutions, and operators on the way that the flow cannot follow."""

from collections.abc import Callable
from typing import Any

LOOP = """
import torch
from torch import nn

class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Conv2d(16, 8, 3, padding=1)
        self.new = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 2, 3, padding=1)

    def forward(self, h, x):
        both = torch.cat([h, x], dim=1)
        z = torch.sigmoid(self.gate(both) + 0.0)
        n = torch.tanh(self.new(both))
        h = STATE
        return h, self.head(h)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.cell = Cell()

    def forward(self, x):
        x = self.stem(x)
        h = torch.zeros_like(x)
        for _ in range(14):
            h, flow = self.cell(BETWEEN, x)
        return flow

if __name__ == "__main__":
    Net()(torch.randn(4, 3, 8, 8))
"""


def judged(judge: Callable[..., Any], state: str, between: str = "h") -> Any:
    return judge(LOOP.replace("STATE", state).replace("BETWEEN", between))


def test_gates_may_be_convolutions(judge: Callable[..., Any]) -> None:
    assert judged(judge, "0.02 * z * n").codes == {"GL104"}
    assert judged(judge, "(1 - z) * h + z * n").codes == set()


def test_nothing_is_said_of_steps_that_the_flow_cannot_follow(judge: Callable[..., Any]) -> None:
    unknown = judged(judge, "0.02 * z * n", between="torch.linalg.matrix_exp(h)")
    assert unknown.codes == {"GL003"}
    assert any("cell: not judged, " in line and "lies within its steps" in line for line in unknown.near_misses)
