"""Dropout and its relatives are the identity, and still seen."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from gradlint.tracing import without_dropout


class DropPath(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return x
        return x * torch.zeros(len(x), 1)


class MaskedBranch(nn.Module):
    """Stochastic depth written out: a mask of `keep` probability, scaled by it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = x.new_empty((len(x), 1)).bernoulli_(0.8)
        return x * mask.div_(0.8)


class Functional(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


MODELS = [
    nn.Dropout(0.9),
    nn.Dropout(0.9, inplace=True),
    nn.Dropout1d(0.9),
    nn.AlphaDropout(0.9),
    nn.FeatureAlphaDropout(0.9),
    DropPath(),
    MaskedBranch(),
    Functional(lambda x: F.dropout(x, 0.9)),
    Functional(lambda x: F.dropout(x, 0.9, inplace=True)),
    Functional(lambda x: F.dropout1d(x, 0.9)),
    Functional(lambda x: F.alpha_dropout(x, 0.9, training=True)),
    Functional(lambda x: torch.dropout(x, 0.9, True)),
]


@pytest.mark.parametrize("model", MODELS)
def test_identity_in_training_mode(model: nn.Module) -> None:
    x = torch.randn(16, 8)

    with without_dropout(model.train()):
        y = model(x.clone())

    assert torch.allclose(y, x)
    assert all(m.training for m in model.modules())


def test_attention_and_recurrences_drop_nothing() -> None:
    x = torch.randn(2, 5, 8)
    lstm = nn.LSTM(8, 8, num_layers=2, dropout=0.9, batch_first=True)
    attention = nn.MultiheadAttention(8, 2, dropout=0.9, batch_first=True)

    for model, run in ((lstm, lambda: lstm(x)[0]), (attention, lambda: attention(x, x, x)[0])):
        model.eval()
        expected = run()
        model.train()
        with without_dropout(model):
            assert torch.allclose(run(), expected, atol=1e-6)


def test_packed_recurrence_drops_nothing() -> None:
    lstm = nn.LSTM(8, 8, num_layers=2, dropout=0.9)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, 8), torch.tensor([5, 3]))

    with without_dropout(lstm):
        first, second = lstm(packed)[0].data, lstm(packed)[0].data

    assert torch.equal(first, second)


def test_flags_are_put_back_after_errors() -> None:
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5).eval())

    with pytest.raises(KeyError), without_dropout(model):
        raise KeyError

    assert [m.training for m in model] == [True, False]


def test_a_dropout_is_one_node_and_runs_as_identity(record: Any) -> None:
    graph = record(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.9)), torch.randn(4, 3))

    node = next(n for n in graph.graph.nodes if n.name == "dropout")
    assert graph.view.nodes["dropout"].inputs == ("linear",)
    assert torch.equal(node.target(torch.ones(3), *node.args[1:]), torch.ones(3))
