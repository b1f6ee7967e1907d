"""Rows picked by an index and put back: experts that see their own tokens only."""

import pytest
import torch
from _compare import Case, check, each, predict
from _modules import WIDTH, Chain, Op, dense
from torch import Tensor, nn

TOKENS = (8, 16, WIDTH)


class Experts(nn.Module):
    """Each token goes through the expert that its router chooses, and back to its place."""

    def __init__(self, count: int = 4, best: int = 1) -> None:
        super().__init__()
        self.router, self.best = nn.Linear(WIDTH, count), best
        self.experts = nn.ModuleList(nn.Sequential(dense(), nn.GELU(), dense()) for _ in range(count))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(0, 1)
        weights, chosen = self.router(flat).softmax(-1).topk(self.best)
        out = torch.zeros_like(flat)
        for i, expert in enumerate(self.experts):
            token, slot = torch.where(chosen == i)
            out.index_add_(0, token, expert(flat[token]) * weights[token, slot, None])
        return x + out.view_as(x)


CASES = (
    Case("one of four experts", lambda: Chain(nn.LayerNorm(WIDTH), Experts(), dense()), (TOKENS,), within=0.06),
    Case("two of four experts", lambda: Chain(nn.LayerNorm(WIDTH), Experts(best=2), dense()), (TOKENS,), within=0.1),
)


@each(CASES)
def test_experts(case: Case) -> None:
    check(case)


class Table(nn.Module):
    """Something computed from a table of parameters, cut at ends that were computed."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.layer = nn.Parameter(torch.randn(64, WIDTH)), dense()

    def forward(self, x: Tensor) -> Tensor:
        span = torch.tensor(8)
        return x + self.layer(self.table[16 - span : 16 + span, :])


def test_ends_of_a_slice_that_are_tensors() -> None:
    flow = predict(Table(), torch.randn(TOKENS))
    assert not flow.unknown
    assert flow.modules()["layer"].activation_rms == pytest.approx(3**-0.5, rel=0.1)
    assert flow.parameters()["table"].gradient_rms


def test_a_part_of_no_width_changes_nothing() -> None:
    """Rotary embeddings of a part of each head, that part being all of it (Phi-3)."""

    def turned(x: Tensor) -> Tensor:
        return torch.cat([x[..., :WIDTH].tanh(), x[..., WIDTH:]], -1)

    flow = predict(Chain(dense(), Op(turned), dense()), torch.randn(TOKENS))
    assert not flow.unknown
    assert flow.modules()["0"].gradient_rms
