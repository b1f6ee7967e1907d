"""`check_model`, `flow` and `measure` under threads, inference mode, a default device of meta, and odd inputs."""

import os
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import nn

import gradlint
from gradlint.core.errors import AnalysisError
from gradlint.worker.stages import InternalError

Run = Callable[..., Any]
RUNS = [gradlint.check_model, gradlint.flow, gradlint.measure]


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Linear(8, 2))


class Busy(nn.Module):
    """Counts how many of its kind run at the same time."""

    running: list[int] = []  # noqa: RUF012
    most = 0

    def __init__(self) -> None:
        super().__init__()
        self.body = net()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        Busy.running.append(1)
        Busy.most = max(Busy.most, len(Busy.running))
        time.sleep(0.05)
        Busy.running.pop()
        out: torch.Tensor = self.body(x)
        return out


def test_one_thread_at_a_time() -> None:
    x = torch.ones(4, 8)
    wanted = gradlint.flow(Busy(), x).parameters()
    call, Busy.most = nn.Module.__call__, 0
    with ThreadPoolExecutor(4) as pool:
        flows = [pool.submit(run, Busy(), x) for run in [gradlint.flow, *RUNS]]
    assert flows[0].result().parameters() == flows[2].result().parameters() == wanted
    assert Busy.most == 1
    assert nn.Module.__call__ is call


def test_a_forward_may_look_at_another_model() -> None:
    class Curious(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            gradlint.measure(net(), torch.ones(4, 8))
            out: torch.Tensor = self.layer(x)
            return out

    gradlint.measure(Curious(), torch.ones(4, 8))


class Cubed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x**3

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient


def test_what_another_thread_runs_meanwhile_is_no_part_of_the_model() -> None:
    class Accompanied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.foreign = nn.Linear(8, 8), [nn.Linear(8, 8)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            def elsewhere() -> None:
                Cubed.apply(self.foreign[0](torch.ones(4, 8)))

            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            out: torch.Tensor = self.layer(x)
            return out

    calls = list[Any]()
    from gradlint.tracing.patches import autograd_functions, module_calls

    def noted(owner: Any, run: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        calls.append(owner)
        return run() if isinstance(owner, nn.Module) else run(*inputs)

    with module_calls(noted), autograd_functions(noted):
        model = Accompanied()
        model(torch.ones(4, 8))
    assert calls == [model, model.layer]


@pytest.mark.parametrize(
    "inside", [torch.inference_mode, lambda: torch.device("meta")], ids=["inference-mode", "meta-device"]
)
@pytest.mark.parametrize("run", RUNS)
def test_the_callers_mode_does_not_reach_in(run: Run, inside: Callable[[], AbstractContextManager[Any]]) -> None:
    model, x = net(), torch.randn(4, 8)
    wanted = run(model, x)
    with inside():
        given = x.clone() if torch.is_inference_mode_enabled() else x
        found = run(model, given)
        assert torch.is_inference_mode_enabled() == (inside is torch.inference_mode)
    if run is gradlint.check_model:
        assert (found.models, found.findings) == (wanted.models, wanted.findings)
    else:
        assert found.parameters() == wanted.parameters()
        fed = {name: figures.gradient_rms for name, figures in found.parameters().items() if name != "0.bias"}
        assert all(fed.values())  # the batch norm behind it takes out what 0.bias adds: its gradient is zero


def test_inputs_without_values_are_given_some_where_shapes_are_what_counts() -> None:
    model = nn.Sequential(nn.Embedding(5, 8), nn.Linear(8, 2))
    found = gradlint.flow(model, torch.zeros(4, 6, dtype=torch.int64, device="meta")).parameters()
    assert found.keys() == {"0.weight", "1.weight", "1.bias"}
    report = gradlint.check_model(net(), {"input": torch.zeros(4, 8, device="meta")})
    assert (len(report.models), report.skipped) == (1, ())
    with pytest.raises(AnalysisError, match=r"an input of shape \(4, 8\) has no values"):
        gradlint.measure(net(), torch.zeros(4, 8, device="meta"))


def test_a_batch_of_none_is_named_as_such() -> None:
    reason = r"the forward pass gave no elements on these inputs: an output of shape \(0, 2\)"
    with pytest.raises(AnalysisError, match=reason) as caught:
        gradlint.flow(net(), torch.zeros(0, 8))
    assert not isinstance(caught.value, InternalError)
    (item,) = gradlint.check_model(net(), torch.zeros(0, 8)).skipped
    assert not item.fatal


@pytest.mark.parametrize("run", [gradlint.flow, gradlint.measure])
def test_a_model_made_for_inference_is_named_as_such(run: Run) -> None:
    with torch.inference_mode():
        model = nn.Linear(8, 2)
    with pytest.raises(AnalysisError, match=r"weight was made under torch.inference_mode\(\)"):
        run(model, torch.ones(4, 8))


class Careless(nn.Module):
    """Does what parts of torch do when they are imported."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        os.environ["GRADLINT_TEST_NEW"] = "1"
        os.environ["GRADLINT_TEST_OLD"] = "2"
        warnings.simplefilter("ignore", ResourceWarning)
        out: torch.Tensor = self.layer(x)
        return out


@pytest.mark.parametrize("run", RUNS)
def test_environment_and_warnings_are_put_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADLINT_TEST_OLD", "1")
    environment, filters = dict(os.environ), list(warnings.filters)
    run(Careless(), torch.ones(4, 8))
    assert dict(os.environ) == environment
    assert warnings.filters == filters
