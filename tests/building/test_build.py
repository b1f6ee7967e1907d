"""Building small models with real tensors."""

import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from gradlint.building import BuiltModel, build, load_module
from gradlint.core.errors import AnalysisError
from gradlint.core.target import Target, TargetKind

Built = Callable[..., BuiltModel]
Write = Callable[..., str]

NET = """
class Net(nn.Module):
    def __init__(self, n=3, act=nn.ReLU):
        super().__init__()
        self.first = nn.Linear(n, n)
        self.act = act()
        self.body = nn.Sequential(self.first, nn.Dropout(0.25))
    def forward(self, x):
        return self.body(x)
"""


def test_modules_are_described(built: Built) -> None:
    found = built(NET)
    assert found.fake_mode is None
    assert list(found.modules) == ["", "first", "act", "body", "body.1"]
    root, first, dropout = found.modules[""], found.modules["first"], found.modules["body.1"]
    assert (root.class_name, root.is_torch, root.children) == ("Net", False, ("first", "act", "body"))
    assert (first.is_torch, first.parameters, first.aliases) == (True, ("first.weight", "first.bias"), ("body.0",))
    assert first.attributes["in_features"] == 3
    assert dropout.attributes["p"] == 0.25


def test_one_instance_under_many_names_has_aliases(built: Built) -> None:
    found = built(
        """
        def make():
            layer = nn.Linear(4, 4)
            return nn.Sequential(*[layer] * 3)
        """
    )
    assert found.modules["0"].aliases == ("1", "2")
    assert list(found.modules) == ["", "0"]
    assert list(found.values) == ["0.weight", "0.bias"]


def test_the_same_seed_each_time_and_random_state_restored(built: Built) -> None:
    torch.manual_seed(5)
    random.seed(5)
    first = built(NET)
    drawn = torch.rand(1).item(), random.random()
    torch.manual_seed(9)
    second = built(NET)
    torch.manual_seed(5)
    random.seed(5)
    assert drawn == (torch.rand(1).item(), random.random())
    assert torch.equal(first.model.first.weight, second.model.first.weight)


def test_the_model_is_handed_on_in_training_mode(built: Built) -> None:
    assert built(
        NET.replace("        self.act = act()", "        self.act = act()\n        self.eval()")
    ).model.training


def test_configured_arguments_and_expressions(write: Write) -> None:
    path = write(NET)
    target = Target(path, "Net", 4, args=({"expression": "2 + 3"},), kwargs={"act": {"expression": "nn.Tanh"}})
    found = build(target, load_module(path))
    assert found.modules["first"].attributes["in_features"] == 5
    assert found.modules["act"].class_name == "Tanh"


def test_a_dotted_name(write: Write) -> None:
    path = write(NET + "    @classmethod\n    def wide(cls):\n        return cls(64)\n")
    found = build(Target(path, "Net.wide", 4, TargetKind.FACTORY), load_module(path))
    assert found.modules["first"].attributes["in_features"] == 64


def test_a_module_level_model_and_what_is_done_to_it(built: Built) -> None:
    found = built(
        """
        def init(m):
            if isinstance(m, nn.Linear):
                nn.init.constant_(m.weight, 0.5)
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        model.apply(init)
        for p in model[1].parameters():
            nn.init.zeros_(p)
        optimizer = torch.optim.SGD(model.parameters(), lr=1)
        for p in model.parameters():
            optimizer.step()
            p.data.fill_(7)
        """
    )
    assert found.values["0.weight"].sample.unique().tolist() == [0.5]
    assert found.values["1.weight"].sample.unique().tolist() == [0.0]


def test_two_models_of_one_file_share_a_namespace(write: Write) -> None:
    path = write("core = nn.Linear(3, 3)\na = nn.Sequential(core, nn.ReLU())\nb = nn.Sequential(core, nn.Tanh())\n")
    namespace = load_module(path)
    target = Target(path, "a", 5, TargetKind.INSTANCE)
    first, second = build(target, namespace), build(replace(target, name="b"), namespace)
    assert first.model[0] is second.model[0]
    assert [place.line for place in second.modules["0"].sites] == [4]


def test_the_class_line_is_known(write: Write) -> None:
    path = write(NET + "def make():\n    return Net()\n")
    namespace = load_module(path)
    assert build(Target(path, "make", 12, TargetKind.FACTORY), namespace).class_location.line == 4
    sequential = write("def make():\n    return nn.Sequential(nn.Linear(2, 2))\n", "other.py")
    assert build(Target(sequential, "make", 4, TargetKind.FACTORY), load_module(sequential)).class_location.line == 4


@pytest.mark.parametrize(
    ("constructor", "line", "message"),
    [
        ("raise ValueError('no such width')", 7, "ValueError: no such width"),
        ("raise SystemExit(2)", 7, "it called sys.exit(2)"),
        ("import sys; sys.exit()", 7, "it called sys.exit()"),
        ("nn.Linear(2, 2)(torch.ones(3))", 7, "RuntimeError: mat1 and mat2|RuntimeError: size mismatch"),
        ("self.__init__()", 7, "RecursionError: it calls itself without end"),
        ("raise GeneratorExit", 7, "GeneratorExit"),
        ("helper()", 10, "KeyError: 'x'"),
    ],
)
def test_a_constructor_that_fails_is_told_with_its_line(
    write: Write, constructor: str, line: int, message: str
) -> None:
    path = write(
        f"""
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                {constructor}
            def forward(self, x): return x
        def helper():
            raise KeyError("x")
        """
    )
    with pytest.raises(AnalysisError, match="building Net failed") as caught:
        build(Target(path, "Net", 4), load_module(path))
    error = caught.value
    assert error.stage == "build"
    assert error.location is not None
    assert (error.location.path, error.location.line) == (path, line)
    assert any(part in error.message for part in message.split("|"))


def test_missing_arguments_come_with_configuration_to_paste(write: Write) -> None:
    path = write("class Net(nn.Module):\n    def __init__(self, width, *, depth): super().__init__()\n")
    with pytest.raises(AnalysisError, match="width") as caught:
        build(Target(path, "Net", 4), load_module(path))
    assert caught.value.location is not None
    assert caught.value.location.line == 4
    asked = f'in pyproject.toml, with the dots filled in:\n[[tool.gradlint.targets]]\ntarget = "{path}:Net"\n'
    assert caught.value.remedy == asked + "kwargs = { width = …, depth = … }"


@pytest.mark.parametrize("name", ["Missing", "Net.missing"])
def test_a_name_that_is_not_there(write: Write, name: str) -> None:
    path = write(NET)
    with pytest.raises(AnalysisError) as caught:
        build(Target(path, name, 1), load_module(path))
    assert caught.value.stage == "build"


def test_something_that_is_no_model(write: Write) -> None:
    path = write("def make():\n    return 3\n")
    with pytest.raises(AnalysisError, match=r"make gives int, not an nn\.Module"):
        build(Target(path, "make", 4, TargetKind.FACTORY), load_module(path))


def test_a_keyboard_interrupt_in_a_constructor_goes_through(write: Write) -> None:
    path = write("def make():\n    raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        build(Target(path, "make", 4, TargetKind.FACTORY), load_module(path))


def test_the_small_path_never_imports_what_is_slow(write: Write) -> None:
    path = write(
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Conv2d(3, 8, 3)
                self.b = nn.LSTM(8, 8, batch_first=True)
                self.c = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
                nn.init.orthogonal_(self.a.weight)
                nn.init.trunc_normal_(self.b.weight_ih_l0)
            def forward(self, x):
                return self.c(self.b(self.a(x).flatten(2).transpose(1, 2))[0])
        """
    )
    code = (
        "import sys\n"
        "from gradlint.building import build, feed, load_module, parameter_infos\n"
        "from gradlint.core.target import Target\n"
        f"built = build(Target({path!r}, 'Net', 4), load_module({path!r}))\n"
        "assert feed(built).described == '(8, 3, 32, 32) float32'\n"
        "assert parameter_infos(built, None, (), ())\n"
        "slow = {'torch._dynamo', 'sympy'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
