"""What was not carried out when the model was built is said beside its findings."""

from pathlib import Path

from gradlint.core.finding import Severity
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import analyse
from gradlint.worker.messages import Settings, TargetResult

NET = """import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
    def forward(self, x):
        return self.fc(x)
def init_weights(m):
    nn.init.zeros_(m.nowhere)
"""


def analysed(tmp_path: Path, text: str, *codes: str) -> TargetResult:
    path = tmp_path / "model.py"
    path.write_text(NET + text)
    (target,) = find_targets(scan_file(str(path), path.read_text()))
    return analyse(target, path.read_text(), Settings(codes), on_stage=lambda name: None)


def test_an_initialisation_that_fails_is_a_note_on_its_line(tmp_path: Path) -> None:
    (finding,) = analysed(tmp_path, "net = Net()\nnet.apply(init_weights)\n", "GL003").findings
    assert (finding.code, finding.severity, finding.model) == ("GL003", Severity.INFO, "Net")
    assert finding.location.line == 12
    assert "initialisation in line 12 not applied: AttributeError" in finding.message


def test_it_is_silent_where_all_was_carried_out_or_the_rule_is_off(tmp_path: Path) -> None:
    assert analysed(tmp_path, "net = Net()\n", "GL003").findings == ()
    assert analysed(tmp_path, "net = Net()\nnet.apply(init_weights)\n").findings == ()


def test_inputs_that_are_guessed_although_the_file_feeds_the_model_are_told(tmp_path: Path) -> None:
    (finding,) = analysed(tmp_path, "net = Net()\nnet(torch.load('x.pt'))\n", "GL003").findings
    assert finding.location.line == 12
    assert finding.message == "its inputs are a guess: line 12, which feeds it, was not understood"
    (finding,) = analysed(tmp_path, "net = Net()\nnet(torch.eye(4).nothing())\n", "GL003").findings
    assert "line 12, which feeds it, was not understood (AttributeError" in finding.message
    (finding,) = analysed(tmp_path, "net = Net()\nnet(torch.randn(5, 3)[1:])\n", "GL003").findings
    assert finding.message == "its inputs are a guess: its forward does not run on those as in model.py:12"
