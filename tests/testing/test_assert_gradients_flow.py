"""`assert_gradients_flow` on live models, and the example of docs/pytest.md."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from gradlint.core.errors import UsageError
from gradlint.testing import assert_gradients_flow

PAGE = Path(__file__).parents[2] / "docs" / "pytest.md"


class Healthy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x)
        return out


class Sick(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layers = [layer for _ in range(16) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
        self.body = nn.Sequential(*layers, nn.Linear(16, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x)
        return out


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(8, 16)


@pytest.mark.parametrize("measured", [False, True])
def test_a_healthy_model_passes(x: torch.Tensor, measured: bool) -> None:
    model = Healthy()
    before = [parameter.detach().clone() for parameter in model.parameters()]
    assert_gradients_flow(model, x, max_attenuation=3.0, measured=measured)
    assert all(map(torch.equal, before, model.parameters()))
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_sick_model_fails_with_what_the_command_prints(x: torch.Tensor) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_gradients_flow(Sick(), (x,))
    text = str(raised.value)
    assert text.startswith(
        "gradients do not flow through Sick\n\nerror[GL101]: saturating-stack  Sick: 16 sigmoid layers"
    )
    assert f"--> {__file__}:" in text
    assert "nn.Sequential(*layers" in text
    assert "= predicted:" in text
    assert "measured :" not in text
    assert raised.traceback[-1].name.startswith("test_") or raised.traceback.filter(raised)[-1].name.startswith("test_")


def test_measured_says_so(x: torch.Tensor) -> None:
    with pytest.raises(AssertionError, match=r"measured :.*confirmed"):
        assert_gradients_flow(Sick(), {"x": x}, measured=True)


@pytest.mark.parametrize(("measured", "verb"), [(False, "predicted"), (True, "measured")])
def test_a_limit_of_ones_own_names_the_modules(x: torch.Tensor, measured: bool, verb: str) -> None:
    with pytest.raises(AssertionError) as raised:
        assert_gradients_flow(Sick(), x, max_attenuation=2.0, select=["GL301"], measured=measured)
    text = str(raised.value)
    assert re.search(rf"\d+ modules with more than 2 decades of gradient lost on the way back, {verb}:\n", text)
    losses = [float(lost) for lost in re.findall(r"^ +([\d.]+) decades at body", text, re.MULTILINE)]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == 8
    assert min(losses) > 2
    assert re.search(r"… and \d+ more", text)


def test_a_model_that_does_not_run_fails(x: torch.Tensor) -> None:
    with pytest.raises(AssertionError, match=r"GL001.*unanalysable-model"):
        assert_gradients_flow(Healthy(), torch.randn(8, 3))
    with pytest.raises(AssertionError, match=r"cannot be multiplied"):
        assert_gradients_flow(Healthy(), torch.randn(8, 3), ignore=["GL001"])


def test_severities_and_selections_hold(x: torch.Tensor) -> None:
    assert_gradients_flow(Sick(), x, select=["GL301"])
    with pytest.raises(AssertionError, match=r"warning.GL101"):
        assert_gradients_flow(Sick(), x, select=["GL101"], severity={"GL101": "warning"})
    assert_gradients_flow(Sick(), x, select=["GL101"], severity={"GL101": "warning"}, fail_on="error")


@pytest.mark.parametrize("options", [{"max_attenuation": -1.0}, {"max_attenuation": float("nan")}, {"selct": ["GL1"]}])
def test_what_cannot_be_meant_is_no_failure_of_the_model(x: torch.Tensor, options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        assert_gradients_flow(Healthy(), x, **options)  # type: ignore[arg-type]


@pytest.fixture
def net_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The test file of the page; its model can be imported."""
    test, net = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "net.py").write_text(net)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    yield test
    sys.modules.pop("net", None)


def test_the_example_of_the_docs(net_of_the_page: str, tmp_path: Path) -> None:
    shown = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    names: dict[str, object] = {}
    exec(compile(net_of_the_page, "test_net.py", "exec"), names)
    test = names["test_gradients_reach_the_first_layer"]
    assert callable(test)
    with pytest.raises(AssertionError) as raised:
        test()
    said = str(raised.value).replace(f"{tmp_path}/", "")
    assert re.sub(r"[\d.]+", "#", said).startswith(re.sub(r"[\d.]+", "#", shown).rstrip())
