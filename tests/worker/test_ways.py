"""Models that another file of the repository builds."""

import textwrap
from pathlib import Path

import pytest

from gradlint import engine
from gradlint.config import Config
from gradlint.core.errors import AnalysisError
from gradlint.core.report import Report
from gradlint.core.target import InputSpec, Target
from gradlint.discovery import find_targets, scan_file
from gradlint.worker import ways
from gradlint.worker.analysis import Examined, examine

MODEL = """
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self, width, config):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, 2))
    def forward(self, x):
        return self.body(x)
"""
UNGUESSABLE = MODEL.replace("config.hidden", "int(config.hidden.split('=')[1])")
TRAIN = """
import argparse
import torch
from model import Net
parser = argparse.ArgumentParser()
parser.add_argument("--hidden", default=16)
parser.add_argument("--width", default=5)
args = parser.parse_args()
net = Net(args.width, args)
"""


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in {"pyproject.toml": "", "model.py": MODEL, **files}.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(textwrap.dedent(text))


def target(folder: Path, **said: object) -> Target:
    path = str(folder / "model.py")
    (found,) = find_targets(scan_file(path, (folder / "model.py").read_text()))
    return Target(path, found.name, found.line, **said)  # type: ignore[arg-type]


def examined(folder: Path, **said: object) -> Examined:
    return examine(target(folder, **said), (folder / "model.py").read_text(), on_stage=lambda name: None)


def test_built_as_in_a_training_script_and_fed_as_in_a_test(tmp_path: Path) -> None:
    test = TRAIN + "def test():\n    assert net(torch.randn(3, 5)).shape == (3, 2)\n"
    write(tmp_path, {"train.py": TRAIN, "tests/test_net.py": test})
    summary = examined(tmp_path).summary()
    assert summary.built == "as in train.py:9"
    assert summary.parameters == 5 * 16 + 16 + 16 * 2 + 2
    assert "as in tests/test_net.py:11" in summary.inputs


def test_the_next_construction_is_tried_where_one_fails(tmp_path: Path) -> None:
    wrong = "from model import Net\nNet(5, 'no configuration')"
    write(tmp_path, {"main.py": wrong, "train.py": TRAIN})
    assert examined(tmp_path).summary().built == "as in train.py:9"


def test_what_was_tried_is_told(tmp_path: Path) -> None:
    scripts = {f"train{n}.py": f"from model import Net\nNet({n}, 'none')" for n in range(5)}
    write(tmp_path, {"model.py": UNGUESSABLE, **scripts})
    with pytest.raises(AnalysisError) as raised:
        examined(tmp_path)
    message = raised.value.message
    assert message.startswith(
        "Net needs arguments that are not known: width, config; tried as in train0.py:2: building"
    )
    assert message.count("AttributeError: 'str' object has no attribute 'hidden'") == 3
    assert (raised.value.stage, raised.value.location and raised.value.location.line) == ("build", 4)
    assert 'config = { expression = "…" } }' in raised.value.remedy
    assert "kwargs = { width = " in raised.value.remedy


def test_that_nothing_was_found_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": UNGUESSABLE, "train.py": "from model import Net\nNet(*load())"})
    with pytest.raises(AnalysisError, match="no other file of its repository builds it"):
        examined(tmp_path)


PARTLY = TRAIN.replace("args.width, args", "len(load()), args")


def test_what_another_file_computes_is_guessed_and_the_rest_kept(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": PARTLY})
    done = examined(tmp_path)
    (doubt,) = [doubt for doubt in done.built.doubts if "guess" in doubt.text]
    assert "train.py:9 gives width, not to be computed here" in doubt.text
    assert "len(load()) is not known before that file is run" in doubt.text
    assert done.summary().built.startswith("guessed: width=") and "config" not in done.summary().built
    assert next(done.built.model.parameters()).shape[0] == 16


def test_calls_that_are_known_wholly_come_before_others(tmp_path: Path) -> None:
    write(tmp_path, {"main.py": PARTLY, "train.py": TRAIN})
    assert examined(tmp_path).summary().built == "as in train.py:9"


@pytest.mark.parametrize("said", [{"args": (3,)}, {"kwargs": {"width": 3}}])
def test_what_the_user_said_is_not_mended(tmp_path: Path, said: dict[str, object]) -> None:
    write(tmp_path, {"model.py": UNGUESSABLE, "train.py": TRAIN})
    with pytest.raises(AnalysisError, match=r"not known: config") as raised:
        examined(tmp_path, **said)
    assert "train.py" not in raised.value.message


def test_the_inputs_that_the_user_said_are_kept(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": f"{TRAIN}net(torch.randn(3, 5))"})
    fed = examined(tmp_path, inputs=(InputSpec((7, 5)),)).fed
    assert fed is not None
    assert (fed.described, fed.source) == ("(7, 5) float32", "configured")


def test_the_repository_is_not_read_where_no_arguments_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(ways, "constructions_elsewhere", refuse)
    simple = "from torch import nn\nclass Net(nn.Linear):\n    def __init__(self, n=3): super().__init__(n, n)\n"
    write(tmp_path, {"model.py": simple, "train.py": "from model import Net\nNet(5)"})
    assert examined(tmp_path).summary().built == "defaults"


def test_inputs_that_the_other_file_computes(tmp_path: Path) -> None:
    """Where the checked file cannot compute them, its own lines are not blamed."""
    write(tmp_path, {"train.py": f"{TRAIN}net(torch.ones(3, 5).cumsum(7))"})
    done = examined(tmp_path)
    assert done.built.target is not None and done.built.target.unread_feed == 0
    assert done.fed is not None and done.fed.source.startswith("derived")


def check(folder: Path) -> Report:
    return engine.check([str(folder / "model.py")], Config(root=str(folder)))


def test_a_whole_run(tmp_path: Path) -> None:
    deep = MODEL.replace("nn.ReLU()", "nn.Sigmoid(), nn.Linear(config.hidden, config.hidden), " * 12 + "nn.Sigmoid()")
    write(tmp_path, {"model.py": deep, "train.py": TRAIN})
    report = check(tmp_path)
    assert [model.built for model in report.models] == ["as in train.py:9"]
    assert {finding.location.path for finding in report.findings} == {str(tmp_path / "model.py")}
    assert not report.skipped


def test_a_whole_run_without_a_script(tmp_path: Path) -> None:
    write(tmp_path, {"model.py": UNGUESSABLE})
    report = check(tmp_path)
    assert [finding.code for finding in report.findings] == ["GL001"]
    assert "no other file" in report.findings[0].message


def test_what_is_written_down_goes_before_a_guess(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "from model import Net\nNet(5, 'no configuration')"})
    done = examined(tmp_path)
    assert done.built.is_guessed
    write(tmp_path, {"main.py": TRAIN})
    assert examined(tmp_path).built.built == "as in main.py:9"
