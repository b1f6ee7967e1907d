"""Which models a file holds."""

import textwrap

import pytest

from gradlint.core.errors import AnalysisError
from gradlint.core.target import TargetKind
from gradlint.discovery import FileScan, find_targets, scan_file


def scan(source: str) -> FileScan:
    return scan_file("model.py", textwrap.dedent(source))


def models(source: str) -> list[str]:
    return [target.name for target in find_targets(scan(source))]


NET = """
import torch.nn as nn
class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.a = nn.Linear(n, n)
    def forward(self, x):
        return self.a(x)
"""


@pytest.mark.parametrize(
    ("imports", "base"),
    [
        ("import torch", "torch.nn.Module"),
        ("import torch.nn as nn", "nn.Module"),
        ("from torch import nn", "nn.Module"),
        ("from torch.nn import Module as M", "M"),
        ("from torch.nn import *", "Module"),
        ("from torch.nn.modules.module import Module", "Module"),
        ("import torch.nn as nn", "nn.Sequential"),
        ("import pytorch_lightning as pl", "pl.LightningModule"),
        ("import lightning as L", "L.LightningModule"),
        ("from lightning.pytorch import LightningModule", "LightningModule"),
        ("from transformers import PreTrainedModel", "PreTrainedModel"),
        ("from .layers import BaseModule", "BaseModule"),
        ("import torch\nfrom mylib import Backbone", "Backbone"),
    ],
)
def test_a_class_of_any_module_base_is_a_model(imports: str, base: str) -> None:
    found = scan(f"{imports}\nclass Net({base}):\n    def forward(self, x):\n        return x\n")
    assert found.may_hold_model
    assert [candidate.name for candidate in found.classes] == ["Net"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("", "the file is empty"),
        ("import os\nclass Net: pass\n", "imports neither torch"),
        ("import torch\nx = torch.zeros(3)\n", "defines no nn.Module"),
        (
            "import torch\nfrom typing import TypedDict\nclass A(TypedDict):\n    width: int\n",
            "defines no nn.Module",
        ),
        (
            "import torch\nclass F(torch.autograd.Function):\n    def forward(c, x): pass\n",
            "defines no nn.Module",
        ),
        (
            "import torch\nfrom torch.utils.data import Dataset\nclass D(Dataset):\n    def __len__(self): return 1\n",
            "defines no nn.Module",
        ),
        (
            "import lightning as L\nclass D(L.LightningDataModule):\n    def setup(self, stage): pass\n",
            "defines no nn.Module",
        ),
        ("import torch\nloss = torch.nn.CrossEntropyLoss()\n", "defines no nn.Module"),
        ("import torch\nact = torch.nn.ReLU()\n", "defines no nn.Module"),
        ("import torch\ndef main():\n    class A(torch.nn.Module): pass\n", "its models are local to a function"),
        (
            "import torch.nn as nn\nif __name__ == '__main__':\n    m = nn.Sequential()\n",
            "its models are made in its main",
        ),
        (
            "import torch.nn as nn\nfrom x import B\nclass A(B):\n    def __init__(self): self.l = nn.Sequential()\n",
            "A in line 3 makes layers, but derives from B, which is not known to be an nn.Module",
        ),
    ],
)
def test_a_file_without_models_says_why(source: str, reason: str) -> None:
    found = scan(source)
    assert not found.may_hold_model
    assert found.reason.startswith(reason)
    assert find_targets(found) == []


@pytest.mark.parametrize(
    "base",
    [
        "try:\n    import lightning as L\n    Base = L.LightningModule\nexcept ImportError:\n    Base = nn.Module",
        "try:\n    import lightning as L\nexcept ImportError:\n    L = None\nBase = nn.Module",
        "Layers = nn\nclass Base(L.LightningModule if L else nn.Module): pass",
    ],
)
def test_a_base_class_may_go_by_another_name(base: str) -> None:
    text = "from torch import nn\n" + base + "\nclass Net(Base):\n    def forward(self, x): return x\n"
    assert [target.name for target in find_targets(scan(text))] == ["Net"]


def test_a_syntax_error_is_told_with_its_place() -> None:
    with pytest.raises(AnalysisError, match="not valid Python") as caught:
        scan_file("model.py", "import torch\nclass Net(:\n")
    assert caught.value.stage == "parse"
    assert caught.value.location is not None
    assert (caught.value.location.path, caught.value.location.line) == ("model.py", 2)


def test_a_null_byte_is_a_parse_error_too() -> None:
    with pytest.raises(AnalysisError) as caught:
        scan_file("model.py", "import torch\x00")
    assert caught.value.stage == "parse"


def test_constructor_and_place_of_a_class() -> None:
    found = scan("import torch.nn as nn\nclass A(nn.Module):\n    def __init__(self, a, b, c=1, *, d, e=2): ...\n")
    (candidate,) = found.classes
    assert (candidate.line, candidate.column) == (2, 1)
    assert candidate.required == ("a", "b", "d")
    assert candidate.optional == ("c", "e")


def test_an_inherited_constructor_counts() -> None:
    found = scan(
        NET.replace("n=3", "n") + "class Deep(Net):\n    def forward(self, x):\n        return self.a(self.a(x))\n"
    )
    assert [candidate.required for candidate in found.classes] == [("n",), ("n",)]


def test_a_block_inside_another_model_is_no_model_of_its_own() -> None:
    assert models(NET + "class Stack(nn.Module):\n    def forward(self, x):\n        return Net()(x)\n") == ["Stack"]


def test_models_that_use_one_another_are_represented_by_the_last() -> None:
    source = """
    import torch.nn as nn
    class A(nn.Module):
        def forward(self, x): return B()(x)
    class B(nn.Module):
        def forward(self, x): return A()(x)
    """
    assert models(source) == ["B"]


def test_an_abstract_base_is_no_model() -> None:
    source = """
    import torch.nn as nn
    class Base(nn.Module):
        def forward(self, x):
            raise NotImplementedError
    class Holder(nn.Module):
        def __init__(self): super().__init__()
    class Net(Base):
        def forward(self, x): return x
    """
    assert models(source) == ["Net"]


def test_a_base_that_runs_is_a_model_beside_its_subclass() -> None:
    assert models(NET + "class Deep(Net):\n    def forward(self, x):\n        return self.a(x)\n") == ["Net", "Deep"]


def test_a_loss_is_no_model() -> None:
    assert models(NET + "class FocalLoss(nn.Module):\n    def forward(self, x, y):\n        return x - y\n") == ["Net"]


@pytest.mark.parametrize(
    "body",
    [
        "    return nn.Sequential(nn.Linear(2, 2))",
        "    net = nn.Sequential(nn.Linear(2, 2))\n    return net",
        "    net = nn.Sequential(nn.Linear(2, 2))\n    return net.to('cpu')",
        "    if width > 3:\n        return nn.Linear(width, 1)\n    return nn.Sequential()",
    ],
)
def test_a_function_that_returns_a_model_is_a_factory(body: str) -> None:
    found = scan(f"import torch.nn as nn\ndef make(width=4):\n{body}\n")
    assert [candidate.kind for candidate in found.candidates] == [TargetKind.FACTORY]
    assert [target.name for target in find_targets(found)] == ["make"]


def test_an_annotated_factory_need_not_be_understood() -> None:
    assert models("import torch.nn as nn\ndef make() -> nn.Module:\n    return TABLE['a']()\n") == ["make"]


@pytest.mark.parametrize(
    "function",
    [
        "def train():\n    net = nn.Linear(2, 2)\n    return net",
        "def fit_it():\n    net = nn.Linear(2, 2)\n    net(1).backward()\n    return net",
        "def test_net():\n    return nn.Linear(2, 2)",
        "def get_activation():\n    return nn.ReLU()",
        "def criterion():\n    return nn.MSELoss()",
        "def both():\n    return nn.Linear(2, 2), 3",
    ],
)
def test_other_functions_are_not(function: str) -> None:
    assert models(f"import torch.nn as nn\n{function}\n") == []


def test_a_factory_with_required_arguments_is_a_model_only_where_it_is_called() -> None:
    source = "import torch.nn as nn\ndef make(width):\n    return nn.Linear(width, width)\n"
    assert models(source) == []
    assert models(source + "if __name__ == '__main__':\n    net = make(4)\n") == ["make"]


def test_a_factory_that_only_calls_the_class_is_the_class() -> None:
    assert models(NET + "def make():\n    return Net()\n") == ["Net"]


def test_a_factory_with_arguments_of_its_own_stands_for_the_class() -> None:
    source = NET.replace("n=3", "n") + "def small():\n    return Net(2)\ndef big():\n    return Net(9)\n"
    assert models(source) == ["small", "big"]


def test_a_module_level_model_of_torchs_own_layers() -> None:
    found = scan("import torch.nn as nn\nbody = nn.Linear(2, 2)\nmodel = nn.Sequential(body, nn.ReLU())\n")
    assert [candidate.name for candidate in found.instances] == ["body", "model"]
    (target,) = find_targets(found)
    assert (target.name, target.kind, target.line) == ("model", TargetKind.INSTANCE, 3)


def test_one_instance_of_a_class_is_reported_under_the_class() -> None:
    (target,) = find_targets(scan(NET + "model = Net(7)\n"))
    assert (target.name, target.kind, target.args) == ("Net", TargetKind.CLASS, (7,))


def test_several_instances_are_reported_under_their_names() -> None:
    assert models(NET + "small = Net(2)\nlarge = Net(20)\n") == ["small", "large"]


def test_a_class_handed_to_another_model_is_a_block() -> None:
    source = NET + "class Stack(nn.Module):\n    def __init__(self, block): ...\n    def forward(self, x): return x\n"
    assert models(source + "def test_it():\n    Stack(Net)\n") == ["Stack"]


def test_a_class_defined_twice_counts_once() -> None:
    assert models(NET + NET) == ["Net"]


def test_classes_in_branches_are_found() -> None:
    source = """
    try:
        import torch.nn as nn
    except ImportError:
        nn = None
    if nn is not None:
        class Net(nn.Module):
            def forward(self, x): return x
    """
    assert models(source) == ["Net"]


def test_a_large_text_without_the_words_of_a_model_is_not_parsed() -> None:
    data = "x = [\n" + "    ('item', 1),\n" * 20_000
    found = scan_file("model.py", data)
    assert (found.may_hold_model, found.tree) == (False, None)
    assert found.reason.startswith("mentions neither torch")
    with pytest.raises(AnalysisError, match="not valid Python"):
        scan_file("model.py", "import torch\n" + data)
    assert models(NET + data + "]\n") == ["Net"]
