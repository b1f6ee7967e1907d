"""What the examples alone do not show: severities, spared patterns, sites and remedies."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import gradlint
from gradlint.core.finding import Finding, Severity
from gradlint_rules._wording import times
from gradlint_rules.init_gain_mismatch import InitGainMismatch

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n\n"
SIGMOIDS = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(64, 64) for _ in range({depth}))
        self.out = nn.Linear(64, 3)

    def forward(self, x):
        for layer in self.layers:
            x = torch.sigmoid(layer(x))
        return self.out(x)
"""
)
TRAINED = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, {outputs})

    def forward(self, x):
        return {output}

if __name__ == "__main__":
    net = Net()
    loss = {loss}(net(torch.randn(4, 8)), {target})
"""
)


def only(findings: tuple[Finding, ...]) -> Finding:
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("depth", "optimizer", "severity"),
    [
        (6, "", Severity.WARNING),
        (7, "sgd", Severity.ERROR),
        (6, "adam", Severity.WARNING),
        (14, None, Severity.ERROR),
    ],
)
def test_severity_by_optimiser(
    judge: Callable[..., Any], depth: int, optimizer: str | None, severity: Severity
) -> None:
    finding = next(f for f in judge(SIGMOIDS.format(depth=depth), optimizer or None).raw if f.code == "GL101")
    assert finding.severity is severity


def test_functional_operators_are_shown_where_they_are_called(judge: Callable[..., Any]) -> None:
    finding = only(judge(SIGMOIDS.format(depth=8)).findings)
    assert (finding.code, finding.location.line) == ("GL101", 14)
    assert set(finding.consequences) >= {"GL102"}
    assert len(finding.attributed) == 8
    assert finding.remedies and all(remedy.predicted for remedy in finding.remedies)


def test_three_sigmoids_are_no_stack_and_say_why(judge: Callable[..., Any]) -> None:
    judged = judge(SIGMOIDS.format(depth=3))
    assert judged.findings == ()
    assert any(miss.startswith("vanishing-gradient: the worst-fed layer") for miss in judged.near_misses)


@pytest.mark.parametrize(
    ("output", "loss", "target", "code"),
    [
        ("self.fc(x).softmax(1)", "F.cross_entropy", "torch.zeros(4).long()", "GL505"),
        ("F.log_softmax(self.fc(x), 1)", "F.cross_entropy", "torch.zeros(4).long()", None),
        ("self.fc(x).softmax(1), self.fc(x)", "F.cross_entropy", "torch.zeros(4).long()", None),
        ("F.softmax(F.softmax(self.fc(x), 1), 1)", "F.mse_loss", "torch.zeros(4, 3)", "GL505"),
        ("F.relu(self.fc(x))", "F.binary_cross_entropy_with_logits", "torch.zeros(4, 3)", "GL506"),
        ("torch.sigmoid(self.fc(x)).squeeze(-1)", "nn.BCEWithLogitsLoss()", "torch.zeros(4, 3)", "GL506"),
        ("torch.sigmoid(self.fc(x))", "F.mse_loss", "torch.zeros(4, 3)", None),
    ],
)
def test_losses(judge: Callable[..., Any], output: str, loss: str, target: str, code: str | None) -> None:
    judged = judge(TRAINED.format(outputs=3, output=output, loss=loss, target=target))
    assert judged.codes == ({code} if code else set())


@pytest.mark.parametrize(
    ("layers", "fires"),
    [
        ("nn.Linear(8, 16), nn.Dropout(0.1), nn.Linear(16, 4)", True),
        ("nn.Linear(8, 16), nn.Identity(), nn.Linear(16, 4)", True),
        ("nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 4)", False),
        ("nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4)", False),
        ("nn.Linear(8, 2), nn.Linear(2, 8)", False),
        ("nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 8, 3), nn.Conv1d(8, 8, 3)", True),
        ("nn.Unflatten(1, (1, 8)), nn.Conv1d(1, 8, 3), nn.Conv1d(8, 8, 3, groups=8)", False),
        ("nn.Unflatten(1, (1, 8)), nn.ConvTranspose1d(1, 8, 2, stride=2), nn.Conv1d(8, 8, 3)", False),
    ],
)
def test_linear_chains_and_factorisations(judge: Callable[..., Any], layers: str, fires: bool) -> None:
    source = HEAD + f"net = nn.Sequential({layers})\n\nif __name__ == '__main__':\n    net(torch.randn(4, 8))\n"
    assert judge(source).codes == ({"GL501"} if fires else set())


@pytest.mark.parametrize(
    ("body", "fires"),
    [
        ("return self.a(x)", True),
        ("return self.a(x) + self.b(x).detach()", True),
        ("return self.a(x) + (self.b(x).round() - self.b(x)).detach() + self.b(x)", False),
        ("with torch.no_grad():\n            y = self.b(x)\n        return self.a(x) + y", False),
        ("return self.a(x) if x.shape[0] else self.b(x)", False),
    ],
)
def test_unreachable_parameters(judge: Callable[..., Any], body: str, fires: bool) -> None:
    source = (
        HEAD
        + f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(8, 8)
        self.b = nn.Linear(8, 8)

    def forward(self, x):
        {body}
"""
    )
    judged = judge(source)
    assert judged.codes == ({"GL503"} if fires else set())
    if fires:
        assert only(judged.findings).location.line == 10


def test_zeros_that_wake_are_left_alone(judge: Callable[..., Any]) -> None:
    source = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(8, 16)
        self.up = nn.Linear(16, 16)
        self.down = nn.Linear(16, 16)
        self.out = nn.Linear(16, 2)
        for layer in (ZEROS):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        x = self.inp(x)
        x = x + self.down(torch.relu(self.up(x)))
        return self.out(x)
"""
    )
    assert judge(source.replace("ZEROS", "self.down, self.out")).codes == set()
    asleep = only(judge(source.replace("ZEROS", "self.up, self.down")).findings)
    assert (asleep.code, asleep.severity, asleep.location.line) == ("GL301", Severity.ERROR, 10)


def test_recurrences_with_gates_or_short_windows_are_left_alone(judge: Callable[..., Any]) -> None:
    source = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.CELL(4, 24)
        self.out = nn.Linear(24, 2)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], 24)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.out(h)

if __name__ == "__main__":
    Net()(torch.randn(4, STEPS, 4))
"""
    )
    assert judge(source.replace("CELL", "RNNCell").replace("STEPS", "30")).codes == {"GL104"}
    assert judge(source.replace("CELL", "RNNCell").replace("STEPS", "6")).codes == set()
    assert judge(source.replace("CELL", "GRUCell").replace("STEPS", "30")).codes == set()


@pytest.mark.parametrize(
    ("read", "severity"),
    [
        ("states[:, -1]", Severity.WARNING),
        ("last[0]", Severity.WARNING),
        ("states.mean(1)", Severity.INFO),
        ("states", Severity.INFO),
    ],
)
def test_a_horizon_gates_only_where_the_last_step_alone_is_read(
    judge: Callable[..., Any], read: str, severity: Severity
) -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.RNN(4, 24, batch_first=True)
        self.out = nn.Linear(24, 2)

    def forward(self, x):
        states, last = self.rnn(x)
        return self.out(READ)

if __name__ == "__main__":
    Net()(torch.randn(4, 50, 4))
"""
    finding = only(judge(HEAD + source.replace("READ", read)).findings)
    assert (finding.code, finding.severity) == ("GL104", severity)


@pytest.mark.parametrize("name", ["one", "two"])
def test_no_line_is_borrowed_from_a_file_of_equal_text(judge: Callable[..., Any], tmp_path: Path, name: str) -> None:
    finding = only(judge(SIGMOIDS.format(depth=8)).findings)
    assert (finding.location.path, finding.location.line) == (str(tmp_path / "model.py"), 14), name


CONTAINER = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        {held}
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        return self.out({used})
{more}
"""
)


@pytest.mark.parametrize(
    ("held", "used"),
    [
        ("self.parts = [nn.Linear(8, 8), nn.Linear(8, 8)]", "self.parts[1](self.parts[0](x).relu())"),
        ("self.parts = [nn.Linear(8, 8)]", "self.parts[0](x)"),
        ("self.parts = (nn.Linear(8, 8), torch.relu)", "self.parts[1](self.parts[0](x))"),
        ("self.parts = {'a': [nn.Linear(8, 8)]}", "self.parts['a'][0](x)"),
        ("self.parts = [nn.Parameter(torch.randn(8, 8)) for _ in range(2)]", "x @ self.parts[0] @ self.parts[1]"),
    ],
)
def test_a_plain_container_hides_what_learns(judge: Callable[..., Any], held: str, used: str) -> None:
    findings = judge(CONTAINER.format(held=held, used=used, more="")).findings
    finding = next(finding for finding in findings if finding.code == "GL502")
    assert finding.location.line == 9
    assert finding.message.startswith("parts is a plain ")


@pytest.mark.parametrize(
    ("held", "used", "more"),
    [
        ("self.fc = nn.Linear(8, 8); self.parts = [self.fc]", "self.parts[0](x)", ""),
        ("self.fc = nn.ModuleList([nn.Linear(8, 8)]); self.parts = list(self.fc)", "self.parts[0](x)", ""),
        ("self.parts = [nn.Linear(8, 8), nn.Linear(8, 8)]", "x", ""),
        ("self.parts = [nn.Linear(8, 8).requires_grad_(False) for _ in range(2)]", "self.parts[0](x)", ""),
        ("self.parts = [nn.Linear(8, 8) for _ in range(2)]", "self.parts[0](x).detach()", ""),
        ("self.teachers = [nn.Linear(8, 8) for _ in range(2)]", "self.teachers[0](x)", ""),
        ("fc = nn.Linear(8, 8); self.parts = [fc]", "self.parts[0](x)", ""),
        ("self.parts = [torch.relu, F.gelu, nn.Tanh()]", "self.parts[2](x)", ""),
        (
            "self.parts = [nn.Linear(8, 8) for _ in range(2)]",
            "self.parts[0](x)",
            "    def everything(self):\n        return [p for part in self.parts for p in part.parameters()]",
        ),
        (
            "self.parts = [nn.Linear(8, 8) for _ in range(2)]",
            "self.parts[0](x)",
            "    def parameters(self, recurse=True):\n        return iter([self.parts[0].weight])",
        ),
    ],
)
def test_plain_containers_that_are_meant(judge: Callable[..., Any], held: str, used: str, more: str) -> None:
    judged = judge(CONTAINER.format(held=held, used=used, more=more))
    assert "GL502" not in {finding.code for finding in judged.raw}


def test_a_model_of_unregistered_layers_alone_is_an_error(judge: Callable[..., Any]) -> None:
    source = CONTAINER.format(held="self.parts = [nn.Linear(8, 8), nn.Linear(8, 3)]", used="", more="")
    source = source.replace("        self.out = nn.Linear(8, 3)\n", "").replace(
        "self.out()", "self.parts[1](self.parts[0](x).relu())"
    )
    assert only(judge(source).findings).severity is Severity.ERROR


FORWARD = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(8, 8)

    def forward(self, x):
        {body}
"""
)


@pytest.mark.parametrize(
    ("body", "message", "label"),
    [
        (
            "return F.cross_entropy(self.fc(x), x.softmax(-1))",
            "losses inside forward are not followed (cross_entropy_loss)",
            "cross_entropy_loss: return the prediction, and apply the loss outside of forward",
        ),
        (
            "z = torch.fft.fft(self.fc(x)); z = z * z + z.exp() * z; return z.abs()",
            "complex numbers are not followed (fft_fft, mul, exp, add, abs)",
            "it computes with complex numbers",
        ),
        (
            "y = torch.linalg.svdvals(self.fc(x)); return y + torch.linalg.svdvals(self.fc(-x))",
            "no transfer rule for linalg_svdvals",
            "linalg_svdvals: no transfer rule",
        ),
    ],
)
def test_each_cause_of_a_guess_is_told_once(judge: Callable[..., Any], body: str, message: str, label: str) -> None:
    judged = judge(FORWARD.format(body=body))
    finding = next(finding for finding in judged.raw if finding.code == "GL003")
    assert finding.message == f"part of the flow rests on a guess: {message}"
    assert finding.sites[0].label == label
    assert finding.notes == ()


def test_remedies_say_what_is_left_not_what_is_won(judge: Callable[..., Any]) -> None:
    remedies = only(judge(SIGMOIDS.format(depth=14)).findings).remedies
    assert remedies
    for remedy in remedies:
        assert re.fullmatch(r"leaves (a healthy gradient|a loss of \d+\.\d decades)", remedy.predicted)


def test_each_cut_is_a_finding_that_shows_where_the_gradient_ends(judge: Callable[..., Any]) -> None:
    source = (
        HEAD
        + """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.gate = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
        self.temperature = nn.Parameter(torch.zeros(1))
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        warmth = self.temperature.exp().item()
        weight = torch.sigmoid(self.gate(x) / warmth).data
        return weight * self.head(x)
"""
    )
    lines = source.splitlines()
    findings = judge(source).findings
    assert [finding.code for finding in findings] == ["GL503", "GL503"]
    for finding, cause, what in zip(findings, (".data", ".item()"), ("gate", "temperature"), strict=True):
        line = next(number for number, text in enumerate(lines, 1) if cause in text)
        assert finding.sites[1].location.line == line
        assert (
            finding.message.startswith(f"{what} is cut off from the output") and f"{cause} in line" in finding.message
        )
        assert finding.remedies[0].edit == f"no {cause} in line {line}"


def test_message_label_and_summary_give_one_figure(judge: Callable[..., Any]) -> None:
    """So many decades in all, shared among the layers."""
    for finding in judge(InitGainMismatch.INVALID[0]).raw:
        if finding.code == "GL302":
            lost = finding.predicted["attenuation"]
            assert f"gradient {times(lost)} smaller" in finding.message
            assert finding.predicted["gain_per_layer"] == pytest.approx(-lost / (finding.predicted["layers"] - 1))


class Pools(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.c = nn.ModuleList([nn.Linear(16, 16) for _ in range(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.c[1](self.c[0](x).relu())
        return y


def test_a_list_of_which_some_members_run_is_not_called_unused() -> None:
    (finding,) = gradlint.check_model(Pools(), torch.ones(4, 16)).findings
    assert finding.message == "c.2, like 1 other module, is never used in forward"
