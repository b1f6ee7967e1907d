"""Names that scripts bind in the branch that the command line chooses: it is empty when a file is checked."""

from pathlib import Path

import pytest

from gradlint.core.errors import AnalysisError
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, examine

SCRIPT = """
import argparse
from torch import nn

parser = argparse.ArgumentParser()
parser.add_argument("--dataset", required=True)
opt = parser.parse_args()

if opt.dataset in ["folder", "lfw"]:
    classes = 40
    nc = 3
elif opt.dataset == "mnist":
    nc = 1
{more}

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(nc, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))

    def forward(self, x):
        return self.body(x)
"""


def examined(tmp_path: Path, source: str) -> Examined:
    path = tmp_path / "main.py"
    path.write_text(source)
    (target,) = find_targets(scan_file(str(path), source))
    return examine(target, source, on_stage=lambda name: None)


def test_the_first_branch_that_gives_a_value_is_taken_and_told(tmp_path: Path) -> None:
    done = examined(tmp_path, SCRIPT.format(more=""))
    assert done.built.model.get_parameter("body.0.weight").shape[1] == 3
    (doubt,) = [doubt for doubt in done.built.doubts if "assumed" in doubt.text]
    assert doubt.location.line == 11 and doubt.text.startswith("nc = 3")  # and not `classes`, which nobody needs


def test_a_branch_that_is_taken_counts(tmp_path: Path) -> None:
    done = examined(tmp_path, SCRIPT.format(more="else:\n    nc = 2"))
    assert done.built.model.get_parameter("body.0.weight").shape[1] == 2
    assert not any("assumed" in doubt.text for doubt in done.built.doubts)


def test_what_no_branch_says_in_so_many_words_stays_unknown(tmp_path: Path) -> None:
    source = SCRIPT.format(more="").replace("nc = 3", "nc = load(3)").replace("nc = 1", "nc = load(1)")
    with pytest.raises(AnalysisError, match="nc"):
        examined(tmp_path, source)
