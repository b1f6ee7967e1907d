"""From a scan to targets: configuration, named targets, order."""

from pathlib import Path

import pytest

from gradlint.core.errors import UsageError
from gradlint.core.target import InputSpec, Target
from gradlint.discovery import find_targets, parse_target, scan_file

SOURCE = """
import torch
import torch.nn as nn
class Inner(nn.Module):
    def forward(self, x): return x
class Net(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.inner = Inner()
    def forward(self, x): return x
class Config:
    width: int = 3
class Configured(nn.Module):
    def __init__(self, cfg): super().__init__()
    def forward(self, x): return x
if __name__ == "__main__":
    Net(3)(torch.randn(2, 3))
"""
SCAN = scan_file("model.py", SOURCE)


def test_models_come_in_order_with_what_the_file_says() -> None:
    net, configured = find_targets(SCAN)
    assert (net.name, net.line, net.args, net.uses) == ("Net", 6, (3,), ("Inner",))
    assert configured.args == ({"expression": "Config()"},)
    assert configured.built == "with Config()"


def test_parts_are_models_of_their_own_where_that_is_asked_for() -> None:
    assert [t.name for t in find_targets(SCAN, parts=True)] == ["Inner", "Net", "Configured"]


def test_a_part_that_takes_arguments_is_one_too_but_nothing_is_named_twice() -> None:
    source = """
from torch import nn
class Part(nn.Module):
    def __init__(self, width): super().__init__()
    def forward(self, x): return x
class Handed(nn.Module):
    def __init__(self, width): super().__init__()
    def forward(self, x): return x
class Net(nn.Module):
    def __init__(self, block):
        super().__init__()
        self.part, self.block = Part(block.width), block
    def forward(self, x): return x
def make(): return Net(Handed(3))
net = Net(Handed(4))
"""
    scan = scan_file("model.py", source)
    assert [t.name for t in find_targets(scan)] == ["make"]
    assert [t.name for t in find_targets(scan, parts=True)] == ["Part", "Handed", "Net", "make"]


def test_configuration_overrides_what_the_file_says() -> None:
    wanted = Target("model.py", "Net", 1, args=(5,), inputs=(InputSpec((4, 5)),), batch=2)
    net = find_targets(SCAN, [wanted])[0]
    assert (net.args, net.inputs, net.batch, net.built, net.line) == ((5,), (InputSpec((4, 5)),), 2, "configured", 6)


def test_configuration_is_completed_by_what_the_file_says() -> None:
    net = find_targets(SCAN, [Target("model.py", "Net", 1, sequence_length=7)])[0]
    assert (net.args, net.sequence_length, net.inputs_from) == ((3,), 7, "as in model.py:17")


def test_a_part_can_be_asked_for_by_name() -> None:
    assert [t.name for t in find_targets(SCAN, [Target("model.py", "Inner", 1)], only=True)] == ["Inner"]


def test_a_name_that_the_scan_does_not_know_is_taken_at_its_word() -> None:
    (target,) = find_targets(SCAN, [Target("model.py", "Net.small", 1)], only=True)
    assert (target.name, target.path) == ("Net.small", "model.py")


def test_a_path_target(tmp_path: Path) -> None:
    (tmp_path / "net.py").touch()
    target = parse_target(f"{tmp_path}/net.py:Net")
    assert (target.path, target.name, target.module) == (f"{tmp_path}/net.py", "Net", "")


def test_a_module_target_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text("raise SystemExit")
    (tmp_path / "pkg" / "mod.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    target = parse_target("pkg.mod:Net")
    assert (target.path, target.name, target.module) == ("pkg/mod.py", "Net", "pkg.mod")
    assert parse_target("pkg:Net").path == "pkg/__init__.py"


@pytest.mark.parametrize("text", ["Net", "model.py", "nowhere.py:Net", "no.such.module:Net", "model.py:1x", ":Net"])
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_target(text)


PARTS = """
import torch.nn as nn
class Net(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.fc = nn.Linear(width, width)
    def forward(self, x): return self.fc(x)
def make(kind):
    return Net(KINDS[kind])
Small = lambda: make("S")
"""


def test_where_nothing_says_how_a_model_is_built_its_class_is_left_to_a_guess() -> None:
    assert [(t.name, t.args) for t in find_targets(scan_file("net.py", PARTS))] == [("Net", None)]


def test_a_table_counts_as_a_call() -> None:
    table = 'TABLE = {"small": {"cls": Net, "settings": dict(width=8)}}\n'
    (net,) = find_targets(scan_file("net.py", PARTS + table))
    assert (net.name, net.kwargs, net.built) == ("Net", {"width": 8}, "as in net.py:11")


def test_a_table_that_leaves_out_what_is_required_does_not() -> None:
    table = 'TABLE = {"small": {"cls": Net, "settings": {"depth": 8}}}\n'
    (net,) = find_targets(scan_file("net.py", PARTS + table))
    assert net.built == "defaults"


def test_a_factory_that_asks_for_less_stands_for_what_it_builds() -> None:
    source = """
from torch import nn
class Part(nn.Module):
    def __init__(self, width): super().__init__()
    def forward(self, x): return x
class Net(nn.Module):
    def __init__(self, encoder, decoder, head): super().__init__()
    def forward(self, x): return x
def make(width): return Net(Part(width), Part(width), nn.Linear(width, 2))
"""
    assert [t.name for t in find_targets(scan_file("model.py", source))] == ["make"]
    longer = source.replace("def make(width)", "def make(width, depth, heads)")
    assert [t.name for t in find_targets(scan_file("model.py", longer))] == ["Part", "Net"]


BASE = """
from torch import nn
class Base(nn.Module):
    def forward(self, x): return self.head(self.encoder(x))
class Net(Base):
    def __init__(self):
        super().__init__()
        self.encoder, self.head = nn.Linear(8, 8), nn.Linear(8, 2)
"""


def test_a_class_whose_parts_only_subclasses_have_is_no_model() -> None:
    assert [target.name for target in find_targets(scan_file("net.py", BASE), parts=True)] == ["Net"]
    only = BASE.partition("class Net")[0]
    assert find_targets(scan_file("net.py", only)) == []


@pytest.mark.parametrize(
    "given",
    [
        "    encoder = head = nn.ReLU()\n",
        "    encoder: nn.Module\n    head: nn.Module\n",
        "    def encoder(self, x): return x\n    head = encoder\n",
        "    def __init__(self, **parts):\n        for n, p in parts.items(): setattr(self, n, p)\n",
        "    def __getattr__(self, name): return nn.ReLU()\n",
    ],
)
def test_parts_come_about_in_many_ways(given: str) -> None:
    source = BASE.partition("class Net")[0].replace("    def forward", f"{given}    def forward")
    assert [target.name for target in find_targets(scan_file("net.py", source))] == ["Base"]


def test_what_comes_from_elsewhere_may_give_the_parts() -> None:
    source = BASE.partition("class Net")[0].replace("(nn.Module)", "(nn.Module, PartsMixin)")
    source = f"from parts import PartsMixin\n{source}"
    assert [target.name for target in find_targets(scan_file("net.py", source))] == ["Base"]
