"""`check_model`, `flow` and `measure` on a live model, which is left exactly as found."""

import contextlib
import linecache
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import gradlint
from gradlint.api import Edit, EditKind
from gradlint.core.errors import AnalysisError, UsageError
from gradlint.core.finding import Severity


class Net(nn.Module):
    """Everything that a forward pass may leave behind: statistics, a counter, a hook."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.norm = nn.BatchNorm1d(16)
        self.drop = nn.Dropout(0.5)
        self.last = nn.Linear(16, 2)
        self.calls = 0

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        self.calls += 1
        if x.shape[1] != 8:
            raise ValueError("eight features are wanted")
        hidden: torch.Tensor = self.last(self.drop(torch.relu(self.norm(self.first(x)))))
        return hidden * scale


@pytest.fixture
def model() -> Net:
    torch.manual_seed(0)
    made = Net()
    made.first.eval()
    made.last.weight.grad = torch.ones_like(made.last.weight)
    made.last.bias.requires_grad_(False)
    made.register_forward_hook(lambda module, args, output: None)
    return made


def state(model: Net) -> list[Any]:
    return [
        {name: tensor.clone() for name, tensor in model.state_dict().items()},
        {name: (p.requires_grad, p.grad, p._version) for name, p in model.named_parameters()},
        [module.training for module in model.modules()],
        [dict(module._forward_hooks) for module in model.modules()],
        model.calls,
        torch.get_rng_state(),
        random.getstate(),
        torch.is_grad_enabled(),
    ]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


INPUTS = torch.randn(4, 8, generator=torch.Generator().manual_seed(0))
NORMED = Edit(EditKind.NORM, "layer norm", nodes=("relu",), detail="layer_norm")
RUNS: dict[str, Callable[[Net], object]] = {
    "check": lambda model: gradlint.check_model(model, INPUTS),
    "check without inputs": lambda model: gradlint.check_model(model),
    "check that fails": lambda model: gradlint.check_model(model, torch.zeros(4, 9)),
    "check with probe": lambda model: gradlint.check_model(model, INPUTS, probe=True),
    "flow": lambda model: gradlint.flow(model, INPUTS),
    "what if": lambda model: gradlint.what_if(model, INPUTS, NORMED),
    "tangents": lambda model: gradlint.tangents(model, INPUTS),
    "measure": lambda model: gradlint.measure(model, INPUTS),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
def test_the_model_is_left_exactly_as_found(run: Callable[[Net], object], model: Net) -> None:
    before = state(model)
    run(model)
    assert same(before, state(model))


def test_also_without_gradients_and_after_an_exception(model: Net) -> None:
    with torch.no_grad():
        before = state(model)
        gradlint.flow(model, (torch.zeros(4, 8),), kwargs={"scale": 2.0})
        with pytest.raises(AnalysisError, match="eight features are wanted"):
            gradlint.flow(model, torch.zeros(4, 9))
        with pytest.raises(ValueError, match="eight features are wanted"):
            gradlint.measure(model, torch.zeros(4, 9))
        assert same(before, state(model))
        assert not torch.is_grad_enabled()


def test_report_of_a_live_model(model: Net) -> None:
    report = gradlint.check_model(model, {"x": torch.randn(4, 8), "scale": 2.0})
    (summary,) = report.models
    assert (summary.name, summary.parameters) == ("Net", 8 * 16 + 16 + 32 + 16 * 2 + 2)
    assert summary.inputs == "x=(4, 8) float32, scale=float (given)"
    assert summary.path.endswith("test_live_models.py")
    assert report.to_dict()["schema"] == "gradlint/1"


def test_a_live_model_that_does_not_run_is_a_finding(model: Net) -> None:
    report = gradlint.check_model(model, torch.randn(4, 9))
    (finding,) = report.findings
    assert (finding.code, finding.model) == ("GL001", "Net")
    assert "eight features are wanted" in finding.message
    assert "raise ValueError" in linecache.getline(finding.location.path, finding.location.line)
    assert report.models == ()


def test_flow_and_measure_speak_of_the_same_things(model: Net) -> None:
    inputs = torch.randn(64, 8)
    predicted, measured = gradlint.flow(model, inputs), gradlint.measure(model, inputs)
    assert predicted.modules().keys() == measured.modules().keys()
    assert predicted.parameters().keys() == measured.parameters().keys()
    for name in ("first", "last"):
        left, right = predicted.modules()[name].gradient_rms, measured.modules()[name].gradient_rms
        assert left is not None and right is not None
        assert left == pytest.approx(right, rel=0.5)


@pytest.mark.parametrize("options", [{"timeot": 3}, {"select": ["GL9999"]}, {"optimizer": "sgdd"}])
def test_options_that_cannot_be_meant_are_refused(options: dict[str, Any], model: Net) -> None:
    with pytest.raises(UsageError):
        gradlint.check_model(model, torch.randn(4, 8), **options)


class Untidy(nn.Module):
    """A forward that changes what no forward should: caches, hooks, flags, defaults, weights under the same name."""

    def __init__(self, act: Callable[["Untidy"], object]) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.cache: list[torch.Tensor] = []
        self.act = act

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.act(self)
        out: torch.Tensor = self.layer(x)
        return out


def halve(model: Untidy) -> None:
    model.layer.weight.data = model.layer.weight.data / 2


def train(model: Untidy) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model.layer(torch.ones(2, 8)).sum().backward()
    optimizer.step()


@pytest.mark.parametrize(
    "act",
    [
        lambda model: model.cache.append(torch.ones(1)),
        lambda model: model.layer.register_forward_hook(lambda *_: None),
        lambda model: model.layer.weight.register_hook(lambda gradient: gradient),
        lambda model: model.requires_grad_(False),
        lambda model: torch.set_default_dtype(torch.float64),
        lambda model: torch.set_default_device("meta"),
        halve,
        train,
    ],
    ids=["cache", "module-hook", "tensor-hook", "requires-grad", "dtype", "device", "data", "train"],
)
@pytest.mark.parametrize("run", [gradlint.check_model, gradlint.flow, gradlint.measure])
def test_what_an_untidy_forward_changes_is_put_back(
    run: Callable[[nn.Module, torch.Tensor], object], act: Callable[[Untidy], object]
) -> None:
    model = Untidy(act)
    weight = model.layer.weight
    before = (weight.detach().clone(), weight.data_ptr(), weight._version)
    with contextlib.suppress(RuntimeError):  # a default of its own may break the backward pass of `measure`
        run(model, torch.ones(4, 8))
    assert (weight.data_ptr(), weight._version) == before[1:]
    assert torch.equal(weight, before[0])
    assert weight.requires_grad
    assert weight.grad is None
    assert not weight._backward_hooks
    assert not model.layer._forward_hooks
    assert model.cache == []
    assert torch.get_default_dtype() is torch.float32
    assert torch.get_default_device() == torch.device("cpu")


def test_a_graph_that_the_caller_holds_can_still_be_run_backward() -> None:
    model = Untidy(train)
    loss = (model.layer(torch.ones(2, 8, requires_grad=True)) ** 2).sum()
    gradlint.check_model(model, torch.ones(4, 8))
    loss.backward()


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (nn.LazyLinear(8), "weight has no shape yet (a lazy module)"),
        (nn.Linear(8, 8, device="meta"), "weight has no value: it is on the meta device"),
    ],
)
def test_a_model_without_values_is_named_as_such(model: nn.Module, reason: str) -> None:
    x = torch.ones(2, 8)
    assert [item.reason for item in gradlint.check_model(model, x).skipped] == [reason]
    for run in (gradlint.flow, gradlint.measure):
        with pytest.raises(AnalysisError, match=re.escape(reason)):
            run(model, x)


@pytest.mark.parametrize("thing", [nn.Linear, lambda x: x, None])
def test_what_is_no_model_is_refused(thing: Any) -> None:
    for run in (gradlint.check_model, gradlint.flow, gradlint.measure):
        with pytest.raises(UsageError, match=r"expected an nn\.Module, not"):
            run(thing, torch.ones(2, 8))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_scripted_and_sparse_parts_are_no_obstacle() -> None:
    scripted = torch.jit.trace(nn.Linear(8, 8), torch.ones(2, 8))  # type: ignore[no-untyped-call]
    sparse = nn.Sequential(nn.Linear(8, 8))
    sparse.register_buffer("adjacency", torch.eye(8).to_sparse())
    for model in (scripted, sparse):
        assert not gradlint.check_model(model, torch.ones(2, 8)).skipped


def test_flow_turns_whatever_a_forward_raises_into_an_analysis_error() -> None:
    broken = nn.Module.__new__(nn.Linear)  # never initialised
    with pytest.raises(AnalysisError, match="_parameters"):
        gradlint.flow(broken, torch.ones(2, 8))


class Spectrum(nn.Module):
    """Its complex output is nothing that a gradient is predicted for."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.rfft(self.fc(x))


def test_a_flow_that_is_not_known_is_not_all_clear() -> None:
    report = gradlint.check_model(Spectrum(), torch.randn(4, 8), ignore=["GL003"])
    (summary,) = report.models
    assert summary.attenuation is None
    assert summary.flow_not_known.startswith("at any layer: ")
    assert gradlint.check_model(nn.Linear(8, 8), torch.randn(4, 8)).models[0].gap == ""


class Patching(nn.Module):
    """Its forward replaces what every module is built with, as torch's compiler and some libraries do."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        def init(module: nn.Module) -> None:
            raise AssertionError("nobody may be left with this")

        nn.Module.__init__ = init  # type: ignore[assignment,method-assign]
        nn.Module.odd = 1  # type: ignore[assignment]
        return x


@pytest.mark.parametrize("inputs", [(torch.ones(4, 8),), None])
def test_nn_module_itself_is_left_as_found(inputs: Any) -> None:
    before = dict(vars(nn.Module))
    compiled = torch.compile(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2)), backend="eager")
    for model in (compiled, nn.Sequential(nn.Linear(8, 8), Patching())):
        report = gradlint.check_model(model, inputs, probe=True)
        assert [summary.parameters for summary in report.models] != [], report.skipped
        assert dict(vars(nn.Module)) == before
        nn.Linear(1, 1)


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (lambda model, x: gradlint.flow(model, x, kwargs={1: x}), "1 is of type int, not str"),
        (lambda model, x: gradlint.measure(model, x, kwargs={1: x}), "1 is of type int, not str"),
        (lambda model, x: gradlint.check_model(model, {None: x}), "None is of type NoneType, not str"),
        (lambda model, x: gradlint.flow(model, x, kwargs=[1]), "expected a dictionary of keyword arguments, not list"),
    ],
)
def test_keyword_arguments_have_names(run: Callable[[nn.Module, Any], object], reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        run(nn.Linear(4, 4), torch.randn(3, 4))


def saturated() -> nn.Module:
    return nn.Sequential(*[layer for _ in range(12) for layer in (nn.Linear(64, 64), nn.Sigmoid())], nn.Linear(64, 4))


def test_severities_hold_and_a_cause_is_as_severe_as_what_follows_from_it() -> None:
    def severity(**given: str) -> Severity:
        found, *_ = gradlint.check_model(saturated(), torch.randn(8, 64), severity=given).findings
        assert (found.code, "GL102" in found.consequences) == ("GL101", True)
        return found.severity

    assert severity(GL1="info") is Severity.INFO
    assert severity(GL101="info", GL102="error") is Severity.ERROR


@pytest.mark.parametrize("option", [{"baseline": "b.json"}, {"per_file_ignores": {"a.py": ["GL1"]}}])
def test_settings_about_files_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="check_model looks at no file"):
        gradlint.check_model(saturated(), torch.randn(8, 64), **option)
