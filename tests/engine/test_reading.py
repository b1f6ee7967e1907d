"""From files to targets."""

from pathlib import Path

import pytest

from gradlint.config import Config
from gradlint.core.entries import InputEntry, TargetEntry
from gradlint.core.errors import AnalysisError, UsageError
from gradlint.core.location import Location
from gradlint.core.target import InputSpec
from gradlint.engine.collect import Job
from gradlint.engine.reading import configured_targets, decode, read, read_source

NETS = """from torch import nn
import helpers as Elsewhere
class Net(nn.Module):
    def forward(self, x): return x
class Other(nn.Module):
    def forward(self, x): return x
"""


def job(folder: Path, text: str | bytes = NETS, **parts: object) -> Job:
    path = folder / "model.py"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Job(str(path), "model.py", **parts)  # type: ignore[arg-type]


def test_all_models_of_a_file(tmp_path: Path) -> None:
    reading = read(job(tmp_path), Config())
    assert [target.name for target in reading.targets] == ["Net", "Other"]
    assert reading.is_whole


def test_named_models_only(tmp_path: Path) -> None:
    reading = read(job(tmp_path, names=("Other",)), Config())
    assert [target.name for target in reading.targets] == ["Other"]
    assert not reading.is_whole
    assert read(job(tmp_path, names=("Elsewhere",)), Config()).targets[0].name == "Elsewhere"


def test_a_name_that_is_not_there_is_told_with_a_guess(tmp_path: Path) -> None:
    reading = read(job(tmp_path, names=("Nett", "Other")), Config())
    (skipped,) = reading.skipped
    assert (skipped.reason, skipped.remedy) == ('the file defines no model "Nett"', 'did you mean "Net"?')
    assert skipped.fatal
    assert [target.name for target in reading.targets] == ["Other"]


def test_the_configuration_says_how_a_model_is_built_and_fed(tmp_path: Path) -> None:
    entry = TargetEntry(
        target="model.py:Net",
        args=(3,),
        inputs=((4, 16), InputEntry(shape=(4,), dtype="int64", high=9, name="ids"), InputEntry(value=[1])),
        optimizer="sgd",
    )
    config = Config(targets=(entry,), root=str(tmp_path), optimizer="adam", batch=16)
    net, other = read(job(tmp_path), config).targets
    assert (net.args, net.optimizer, net.batch) == ((3,), "sgd", 16)
    assert net.inputs == (InputSpec((4, 16)), InputSpec((4,), "int64", "ids", 9), InputSpec((), "literal", value=[1]))
    assert (other.args, other.optimizer, other.batch) == (None, "adam", 16)


def test_the_settings_of_the_run_come_before_what_the_file_tells(tmp_path: Path) -> None:
    trains = NETS + "import torch\ntorch.optim.SGD(Net().parameters(), lr=1)\n"
    assert read(job(tmp_path, trains), Config()).targets[0].optimizer == "sgd"
    assert read(job(tmp_path, trains), Config(optimizer="adam")).targets[0].optimizer == "adam"


@pytest.mark.parametrize("target", ["model.py", "model.py:", "model.py:not a name"])
def test_a_configured_target_must_name_a_model(target: str) -> None:
    with pytest.raises(UsageError, match="does not name a model"):
        configured_targets(Config(targets=(TargetEntry(target=target),)))


def test_a_configured_target_must_exist_as_a_file_or_module(tmp_path: Path) -> None:
    job(tmp_path)
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text(NETS)
    entries = tuple(TargetEntry(target=target) for target in ("model.py:Net", "model:Net", "pkg:Net"))
    found = configured_targets(Config(targets=entries, root=str(tmp_path)))
    assert [Path(target.path).name for target in found] == ["model.py", "model.py", "__init__.py"]
    with pytest.raises(UsageError, match=r'targets: "modle.py:Net": there is no file or module "modle.py"'):
        configured_targets(Config(targets=(TargetEntry(target="modle.py:Net"),), root=str(tmp_path)))


def test_a_file_without_a_model_is_a_note(tmp_path: Path) -> None:
    (skipped,) = read(job(tmp_path, ""), Config()).skipped
    assert (skipped.reason, skipped.is_model, skipped.fatal) == ("the file is empty", False, False)


def test_declared_encodings_are_read() -> None:
    assert decode("# -*- coding: latin-1 -*-\nx = 'é'\n".encode("latin-1"), "m.py").endswith("x = 'é'\n")
    assert decode(b"\xef\xbb\xbfx = 1\r\n", "m.py") == "x = 1\n"


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"x = 1\n\n# caf\xe9\n", 3, "the file is not valid UTF-8: byte 0xe9 in line 3, column 6"),
        (b"\xe9\n", 1, "the file is not valid UTF-8: byte 0xe9 in line 1, column 1"),
        (b"# coding: martian\n", 1, "the encoding of the file is not known: unknown encoding: martian"),
    ],
)
def test_undecodable_files_name_the_line(data: bytes, line: int, message: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        decode(data, "m.py")
    assert (caught.value.message, caught.value.stage) == (message, "read")
    assert caught.value.location is not None
    assert caught.value.location.line == line
    assert "coding: latin-1" in caught.value.remedy


def test_unreadable_files_say_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(AnalysisError, match="the file cannot be read: Permission denied"):
        read_source(Job("/m.py", "m.py"))


def test_a_configured_dictionary_of_inputs(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.touch()
    entries = {"ids": InputEntry(shape=(4,), dtype="int64", high=9), "mask": (4, 2)}
    entry = TargetEntry(target="m.py:Net", inputs=(InputEntry(entries=entries, name="batch"),))
    (target,) = configured_targets(Config(targets=(entry,), root=str(tmp_path)))
    items = (InputSpec((4,), "int64", "ids", 9), InputSpec((4, 2), name="mask"))
    assert target.inputs == (InputSpec((), "dict", "batch", items=items),)


CLASS = "from torch import nn\n\nclass {name}(nn.Module):\n    def __init__(self):\n        super().__init__()\n"


@pytest.mark.parametrize(
    ("name", "method", "line", "reason", "remedy"),
    [
        ("Net", "", 3, "it defines no forward, so there is no forward pass to follow", "give it a forward"),
        ("Net", "def foward(self, x):\n        return x", 6, "it defines no forward", 'is "foward" in line 6 meant'),
        ("Net", "def forward(self, x):\n        raise NotImplementedError", 3, "its forward computes nothing", "check"),
        ("MyLoss", "def forward(self, x):\n        return x.mean()", 3, "it is a loss", "check the model"),
    ],
)
def test_a_class_without_a_forward_is_told(
    tmp_path: Path, name: str, method: str, line: int, reason: str, remedy: str
) -> None:
    (skipped,) = read(job(tmp_path, CLASS.format(name=name) + f"    {method}\n"), Config()).skipped
    assert (skipped.name, skipped.line, skipped.is_model) == (name, line, False)
    assert skipped.reason.startswith(reason)
    assert skipped.remedy.startswith(remedy)


def test_a_class_without_a_forward_is_told_beside_a_model_too(tmp_path: Path) -> None:
    agent = CLASS.format(name="Agent") + "    def get_value(self, x):\n        return x\n"
    part = CLASS.format(name="Part") + "    def encode(self, x):\n        return x\n"
    base = CLASS.format(name="Base") + "    def log(self, x):\n        return x\n"
    net = "class Net(Base):\n    def forward(self, x):\n        return Part().encode(x)\n"
    reading = read(job(tmp_path, agent + part + base + net), Config())
    assert [target.name for target in reading.targets] == ["Net"]
    (skipped,) = reading.skipped
    assert (skipped.name, skipped.is_model) == ("Agent", False)
    assert skipped.reason == "it defines no forward, so there is no forward pass to follow (it has get_value)"


def test_standard_input_is_named_where_it_is_not_text() -> None:
    reason = "standard input is not valid UTF-8: byte 0xff in line 2, column 6"
    with pytest.raises(AnalysisError, match=f"^{reason}$") as told:
        read_source(Job("/here/stdin.py", "stdin.py", source=b"import torch\nx = '\xff'\n"))
    assert told.value.location == Location("/here/stdin.py", 2, 6)
