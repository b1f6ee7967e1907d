"""Contractions of one dim with a parameter: linear, matmul, addmm, einsum."""

import torch
from _compare import Case, check, each
from _modules import WIDTH, Chain, Op, dense, token_mean
from torch import Tensor, nn

VECTORS, TOKENS = (64, WIDTH), (8, 24, WIDTH)


class Times(nn.Module):
    """A product with a bare parameter."""

    def __init__(self, outputs: int, form: str) -> None:
        super().__init__()
        self.form = form
        shape = (outputs, WIDTH) if form in ("x @ w.T", "left", "btd,ed->bte") else (WIDTH, outputs)
        self.weight = nn.Parameter(torch.randn(shape) / WIDTH**0.5)
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """The product, as the form says."""
        if self.form == "x @ w":
            return x @ self.weight
        if self.form == "x @ w.T":
            return x @ self.weight.T
        if self.form == "left":
            return self.weight @ x
        if self.form == "addmm":
            return torch.addmm(self.bias, x, self.weight)
        return torch.einsum(self.form, x, self.weight)


def times(form: str, shape: tuple[int, ...]) -> Case:
    return Case(form, lambda: Chain(dense(), nn.ReLU(), Times(256, form), nn.ReLU(), dense(256)), (shape,))


SHAPES = (
    Case("batch of vectors", lambda: Chain(dense()), (VECTORS,)),
    Case("wider", lambda: Chain(dense(WIDTH, 512), nn.ReLU(), dense(512, WIDTH)), (VECTORS,)),
    Case("narrow waist", lambda: Chain(dense(WIDTH, 32), dense(32, 512)), (VECTORS,)),
    Case("without bias", lambda: Chain(dense(bias=False), nn.Tanh(), dense(bias=False)), (VECTORS,)),
    Case("tokens", lambda: Chain(dense(), nn.ReLU(), dense()), (TOKENS,)),
    Case("tokens, pooled", lambda: Chain(dense(), nn.ReLU(), dense(), Op(token_mean), dense()), (TOKENS,)),
    Case("four dims", lambda: Chain(dense(), nn.ReLU(), dense()), ((4, 6, 6, WIDTH),)),
    Case("one sample", lambda: Chain(dense(512, 512), nn.ReLU(), dense(512, 512)), ((1, 512),), seeds=8),
    Case("without a batch", lambda: Chain(dense(512, 512), nn.ReLU(), dense(512, 512)), ((512,),), seeds=8),
    Case("a positive mean", lambda: Chain(dense(), nn.Sigmoid(), dense(), nn.Sigmoid(), dense()), (VECTORS,)),
    Case("eight layers", lambda: Chain(*(Chain(dense(), nn.Tanh()) for _ in range(8)), dense()), (VECTORS,)),
    Case("inputs as positions", lambda: Chain(dense(), Op(lambda x: x.transpose(1, 2)), dense()), ((8, WIDTH, WIDTH),)),
    Case("a head of few classes", lambda: Chain(dense(), nn.ReLU(), dense(WIDTH, 10)), (VECTORS,)),
)

FORMS = (
    *(
        times(form, shape)
        for form, shape in (
            ("x @ w", TOKENS),
            ("x @ w.T", TOKENS),
            ("addmm", VECTORS),
            ("bd,de->be", VECTORS),
            ("btd,de->bte", TOKENS),
            ("btd,ed->bte", TOKENS),
        )
    ),
    Case(
        "from the left",
        lambda: Chain(
            dense(),
            nn.ReLU(),
            Op(lambda x: x.transpose(1, 2)),
            Times(256, "left"),
            Op(lambda x: x.transpose(1, 2)),
            dense(256),
        ),
        (TOKENS,),
    ),
)


@each(SHAPES, FORMS)
def test_contraction(case: Case) -> None:
    check(case)
