"""Losses by binding, and the optimiser's family."""

import textwrap

import pytest

from gradlint.core.target import LossUse
from gradlint.discovery import scan_file

NET = """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import optim
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(4, 4)
    def forward(self, x):
        return self.a(x)
"""


def losses(source: str) -> tuple[LossUse, ...]:
    return scan_file("model.py", NET + textwrap.dedent(source)).losses


def loss(source: str) -> tuple[str, str, tuple[str, ...]]:
    (found,) = losses(source)
    return found.name, found.model, found.through


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["loss = criterion(net(x), y)"], ("CrossEntropyLoss", "Net", ())),
        (["out = net(x)", "loss = criterion(out, y)"], ("CrossEntropyLoss", "Net", ())),
        (["out = net(x)", "loss = F.cross_entropy(out, y)"], ("cross_entropy", "Net", ())),
        (["out = net(x)", "loss = F.cross_entropy(input=out, target=y)"], ("cross_entropy", "Net", ())),
        (["loss = nn.BCEWithLogitsLoss()(net(x).squeeze(1), y)"], ("BCEWithLogitsLoss", "Net", ())),
        (["out = net(x).view(-1, 4)", "criterion(out[:, 0], y)"], ("CrossEntropyLoss", "Net", ())),
        (["out = net(x)['logits']", "criterion(out, y)"], ("CrossEntropyLoss", "Net", ())),
        (["out, aux = net(x)", "criterion(out, y)"], ("CrossEntropyLoss", "Net", ())),
        (["p = F.softmax(net(x), dim=1)", "criterion(p, y)"], ("CrossEntropyLoss", "Net", ("softmax",))),
        (["p = net(x).sigmoid()", "criterion(p, y)"], ("CrossEntropyLoss", "Net", ("sigmoid",))),
        (["p = torch.log(net(x))", "criterion(p, y)"], ("CrossEntropyLoss", "Net", ("log",))),
        (["p = nn.Softmax(dim=1)(net(x))", "criterion(p, y)"], ("CrossEntropyLoss", "Net", ("softmax",))),
        (["criterion(net(x) / 0.07, y)"], ("CrossEntropyLoss", "Net", ("arithmetic",))),
        (["criterion(x, y)"], ("CrossEntropyLoss", "", ())),
    ],
)
def test_a_loss_is_bound_to_the_model_whose_output_it_judges(
    lines: list[str], expected: tuple[str, str, tuple[str, ...]]
) -> None:
    setup = [] if "F." in lines[-1] or "nn.BCE" in lines[-1] else ["criterion = nn.CrossEntropyLoss()"]
    body = ["net = Net()", *setup, *lines]
    assert loss("if __name__ == '__main__':\n" + "\n".join(f"    {line}" for line in body)) == expected


def test_the_place_is_where_the_loss_is_applied() -> None:
    (found,) = losses("net = Net()\ncriterion = nn.MSELoss()\nloss = criterion(net(1), 2)\n")
    assert (found.path, found.line, found.column) == ("model.py", 14, 8)


def test_a_training_function_is_bound_by_its_call() -> None:
    source = """
    class Other(nn.Module):
        def forward(self, x): return x
    def train(loader, network, criterion):
        for x, y in loader:
            loss = F.nll_loss(network(x), y)
    train([], Other(), None)
    """
    assert loss(source) == ("nll_loss", "Other", ())


def test_a_parameter_called_model_is_the_only_model_of_the_file() -> None:
    source = "criterion = nn.CrossEntropyLoss()\ndef epoch(model, batch):\n    criterion(model(batch), 0)\n"
    assert loss(source) == ("CrossEntropyLoss", "Net", ())


def test_a_training_step_judges_its_own_class() -> None:
    source = """
    class Lit(nn.Module):
        def training_step(self, batch, _):
            return self.loss(self(batch), batch)
        def __init__(self):
            super().__init__()
            self.loss = nn.MSELoss()
        def forward(self, x): return x
    """
    assert loss(source) == ("MSELoss", "Lit", ())


def test_a_part_that_is_the_whole_output_counts_as_the_whole() -> None:
    source = """
    class Lit(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = Net()
        def forward(self, x):
            return self.net(x)
        def training_step(self, batch, _):
            return F.cross_entropy(self.net(batch), batch)
    """
    assert loss(source) == ("cross_entropy", "Lit", ())


def test_a_loss_inside_forward_judges_what_forward_returns() -> None:
    source = """
    class LM(nn.Module):
        def forward(self, x, targets=None):
            logits = self.head(x)
            loss = F.cross_entropy(logits.view(-1, 5), targets.view(-1))
            return logits, loss
    """
    assert loss(source) == ("cross_entropy", "LM", ())


def test_a_trainer_class_hands_its_model_on() -> None:
    source = """
    class Trainer:
        def __init__(self, model):
            self.model = model
            self.criterion = nn.BCELoss()
        def step(self, x, y):
            return self.criterion(self.model(x), y)
    Trainer(Net())
    """
    assert loss(source) == ("BCELoss", "Net", ())


def test_a_loss_that_is_never_applied_is_of_no_known_model() -> None:
    assert loss("criterion = nn.CrossEntropyLoss()\n") == ("CrossEntropyLoss", "", ())


@pytest.mark.parametrize(
    ("lines", "family"),
    [
        ("optim.SGD(p, lr=1)", "sgd"),
        ("torch.optim.AdamW(p)", "adam"),
        ("optim.RMSprop(p)", "adam"),
        ("optim.SGD(p)\noptim.Adam(p)", None),
        ("optim.lr_scheduler.StepLR(o, 1)", None),
        ("print()", None),
    ],
)
def test_the_optimizers_family(lines: str, family: str | None) -> None:
    assert scan_file("model.py", NET + lines + "\n").optimizer == family
