"""Inputs that a file computes are evaluated, if computing them is all it does."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from gradlint.building import BuiltModel, Fed, build, feed, load_module
from gradlint.core.target import Target
from gradlint.discovery import find_targets, scan_file
from gradlint.tracing import trace

NET = """import math, os
import numpy as np
import torch, torch.nn as nn, torch.nn.functional as F
class Net(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.fc = nn.Linear(width, width)
    def forward(self, x, other=None):
        if isinstance(x, dict):
            x, other = x["x"], x["other"]
        return self.fc(x) if other is None else other @ self.fc(x)
def ring(n):
    found = torch.zeros(n, n)
    for i in range(n):
        found[i, (i + 1) % n] = 1.0
    return found
def stored(n):
    open("found", "w").write("it")
    return torch.eye(n)
"""


@pytest.fixture
def target_of(tmp_path: Path) -> Callable[[str], Target]:
    def run(main: str) -> Target:
        path = tmp_path / "model.py"
        body = "".join(f"    {line}\n" for line in main.splitlines())
        path.write_text(f"{NET}if __name__ == '__main__':\n{body}")
        (target,) = find_targets(scan_file(str(path), path.read_text()))
        return target

    return run


def built_of(target: Target, *, large: int = 30_000_000) -> BuiltModel:
    return build(target, load_module(target.path), large=large)


def fed_of(target: Target) -> Fed:
    return feed(built_of(target))


EYE = torch.eye(30)


@pytest.mark.parametrize(
    ("other", "value"),
    [
        ("torch.eye(30)", EYE),
        ("torch.eye(31)[:30, :-1]", EYE),
        ("torch.eye(30) / torch.eye(30).sum(1, keepdim=True)", EYE),
        ("F.normalize(2 * torch.eye(30))", EYE),
        ("(torch.eye(30) > 0.5).float()", EYE),
        ("torch.from_numpy(np.eye(30)).float()", EYE),
        ("ring(30)", torch.eye(30).roll(1, 1)),
        ("torch.diag(torch.arange(30) * math.pi)", torch.diag(torch.arange(30) * torch.pi)),
        ("torch.stack([torch.ones(30) * i for i in range(30)])", torch.arange(30.0)[:, None].expand(30, 30)),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_harmless_expressions_are_evaluated(
    target_of: Callable[[str], Target], other: str, value: torch.Tensor, named: bool
) -> None:
    lines = [f"adjacency = {other}", "n = 30"] if named else ["n = 30"]
    second = "adjacency" if named else other
    target = target_of("\n".join([*lines, f"Net()(torch.randn(n, 12), {second})"]))
    fed = fed_of(target)
    assert torch.allclose(fed.args[1], value.to(fed.args[1].dtype), atol=1e-5)
    assert fed.args[0].shape == (30, 12)
    assert fed.source == f"as in model.py:{23 if named else 22}"


def test_computed_values_are_constants_of_the_graph(target_of: Callable[[str], Target]) -> None:
    built = built_of(target_of("net = Net()\nnet(torch.randn(30, 12), torch.eye(30) / 30)"))
    fed = feed(built)
    (adjacency,) = fed.held
    assert torch.equal(adjacency, torch.eye(30) / 30)
    assert trace(built, fed).view.inputs == ("x",)


def test_the_first_of_inputs_that_are_all_computed_is_data(target_of: Callable[[str], Target]) -> None:
    fed = fed_of(target_of("net = Net()\nnet(torch.randn(31, 12)[1:], torch.eye(30) / 30)"))
    assert [tuple(tensor.shape) for tensor in fed.held] == [(30, 30)]


def test_a_dictionary_of_tensors_is_read(target_of: Callable[[str], Target]) -> None:
    target = target_of("batch = {'x': torch.randn(6, 12), 'other': torch.eye(6)}\nNet()(batch)")
    fed = fed_of(target)
    assert set(fed.args[0]) == {"x", "other"}
    assert fed.described == "{x: (6, 12) float32, other: (6, 6) float32}"


def test_an_unpacked_dictionary_gives_keywords(target_of: Callable[[str], Target]) -> None:
    fed = fed_of(
        target_of("batch = dict(x=1)\nbatch = {'x': torch.randn(6, 12), 'other': torch.eye(6)}\nNet()(**batch)")
    )
    assert {name: tuple(value.shape) for name, value in fed.kwargs.items()} == {"x": (6, 12), "other": (6, 6)}


def test_a_large_model_gets_fake_ones(target_of: Callable[[str], Target]) -> None:
    built = built_of(target_of("Net(6000)(torch.randn(4, 6000), torch.eye(4))"))
    assert built.fake_mode is not None
    assert feed(built).source == "as in model.py:21"


@pytest.mark.parametrize(
    "other",
    [
        "torch.load('adjacency.pt')",
        "stored(30)",
        "np.load('a.npy')",
        "torch.eye(int(os.popen('echo 30').read()))",
        "torch.eye(30).numpy().tofile('x')",
        "__import__('os').system('true') or torch.eye(30)",
        "torch.eye(30).__class__(30)",
    ],
)
def test_what_does_more_than_compute_is_not_executed(
    target_of: Callable[[str], Target], other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    target = target_of(f"Net()(torch.randn(30, 12), {other})")
    assert target.inputs is None
    assert target.unread_feed == 21
    assert fed_of(target).source.startswith("derived")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["model.py"]


def test_an_expression_that_fails_leaves_a_guess_with_its_reason(target_of: Callable[[str], Target]) -> None:
    target = built_of(target_of("Net()(torch.randn(30, 12), torch.eye(30).nothing())")).target
    assert target is not None
    assert (target.inputs, target.unread_feed) == (None, 21)
    assert "nothing" in target.unread_why


def test_what_another_model_returns_is_no_feed_of_the_file(target_of: Callable[[str], Target]) -> None:
    target = target_of("other = nn.Linear(12, 12)\nfirst, net = Net(), Net()\nnet(first(torch.randn(4, 12)))")
    path = Path(target.path)
    made = scan_file(target.path, path.read_text()).constructions
    assert [(construction.fed_at, construction.unread_at) for construction in made] == [(23, 0), (0, 0)]


def test_data_from_elsewhere_is_no_feed_of_the_file(target_of: Callable[[str], Target]) -> None:
    target = target_of("net = Net()\nfor x, y in loader:\n    net(x.float(), y)")
    assert (target.inputs, target.unread_feed) == (None, 0)
