"""How the arguments that another file gives are read."""

import importlib.util
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gradlint.core.target import InputSpec
from gradlint.discovery.elsewhere.settings import Settings
from gradlint.discovery.values import Construction

Find = Callable[..., list[Construction]]
IMPORT = "from model import Net\n"
CHANGED = "from model import Net, NetConfig\nW = 4\nc = NetConfig()\n"


def arguments(find: Find, train: str, **files: str) -> tuple[tuple[Any, ...] | None, dict[str, Any]]:
    more = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    (made,) = find({"train.py": train, **more})
    return made.args, made.kwargs


def settings(value: Any) -> Any:
    """What an argument that is spelt out as settings makes."""
    made = eval(value["expression"])
    assert isinstance(made, Settings)
    return made


@pytest.mark.parametrize(
    ("code", "args", "kwargs"),
    [
        ("Net(8, depth=2)", (8,), {"depth": 2}),
        ("WIDTH = 4\nNet(WIDTH * 2, WIDTH)", (8, 4), {}),
        ("config = {'hidden': 8, 'depth': [1, 2]}\nNet(**config)", (), {"hidden": 8, "depth": [1, 2]}),
        ("config = {'net': {'hidden': 8}}\nNet(config['net']['hidden'], depth=[3, 4][1])", (8,), {"depth": 4}),
        ("config = {}\nconfig['hidden'] = 8\nNet(config['hidden'], 1)", (8, 1), {}),
        ("for depth in (1, 2, 3):\n    Net(8, depth)", (8, 3), {}),
        ("for name, width in [('a', 4), ('b', 8)]:\n    Net(width, name)", (8, "b"), {}),
        ("def main(hidden=8, *, depth=2):\n    Net(hidden, depth)", (8, 2), {}),
        ("def main(hidden, depth=2):\n    Net(hidden, depth)\nmain(16)", (16, 2), {}),
        ("def build(hidden=4):\n    Net(hidden, 1)\nbuild(hidden=8)", (8, 1), {}),
        ("class Trainer:\n    def __init__(self, hidden):\n        self.net = Net(hidden, 1)\nTrainer(8)", (8, 1), {}),
    ],
)
def test_literals(find: Find, code: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    assert arguments(find, IMPORT + code) == (args, kwargs)


@pytest.mark.parametrize(
    "argument", ["len(dataset)", "compute()", "args.hidden", "lambda x: x", "1 / 0", "[0] * 9 ** 9"]
)
def test_an_argument_that_cannot_be_read_leaves_the_call_out(find: Find, argument: str) -> None:
    assert find({"train.py": f"{IMPORT}Net({argument}, 1)"}) == []


def test_what_a_script_changes_by_then_is_not_its_default(find: Find) -> None:
    train = """
    import argparse
    from model import Net
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", default=8)
    args = parser.parse_args()
    args.hidden = len(open("vocabulary.txt").read())
    Net(args.hidden, 1)
    """
    assert find({"train.py": train}) == []


ARGPARSE = """
import argparse
from model import Net
def get_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--deep", action="store_true")
    parser.add_argument("--extra")
    parser.add_argument("data")
    {returns}
def main(options):
    net = Net(options.hidden_size, options.deep)
if __name__ == "__main__":
    args = get_args()
    main(args)
"""


@pytest.mark.parametrize("returns", ["return parser.parse_args()", "args = parser.parse_args()\n    return args"])
def test_defaults_of_a_command_line(find: Find, returns: str) -> None:
    assert arguments(find, ARGPARSE.format(returns=returns)) == ((64, False), {})


def test_a_command_line_of_another_module(find: Find) -> None:
    options = ARGPARSE.format(returns="return parser.parse_args()").replace("from model import Net", "Net = print")
    train = "from options import get_args\nfrom model import Net\nargs = get_args()\nNet(args.hidden_size, 1)"
    assert arguments(find, train, options_dot_py=options) == ((64, 1), {})


def test_a_whole_command_line_becomes_settings(find: Find) -> None:
    train = ARGPARSE.format(returns="return parser.parse_args()").replace("options.hidden_size", "options")
    (hidden, _), _ = arguments(find, train)
    assert settings(hidden) == {"hidden_size": 64, "deep": False, "extra": None}
    assert settings(hidden).hidden_size == 64
    assert not hasattr(settings(hidden), "data")


@pytest.mark.parametrize(
    "load",
    [
        "config = json.load(open('conf/net.json'))",
        "with open(Path(__file__).parent / 'conf' / 'net.json') as f:\n    config = json.load(f)",
        "config = json.loads(Path('conf/net.json').read_text())",
        "PATH = os.path.join(os.path.dirname(__file__), 'conf', 'net.json')\nconfig = json.load(open(PATH))",
        "p = argparse.ArgumentParser()\np.add_argument('--config', default='conf/net.json')\nargs = p.parse_args()\n"
        "config = json.load(open(args.config))",
    ],
)
def test_json(find: Find, load: str) -> None:
    train = (
        f"{IMPORT}import argparse, json, os\nfrom pathlib import Path\n{load}\nNet(config['net']['hidden'], depth=2)"
    )
    files = {"conf/net.json": json.dumps({"net": {"hidden": 8}})}
    assert arguments(find, train, **files) == ((8,), {"depth": 2})


def test_settings_outside_of_the_repository_are_not_read(find: Find, tmp_path: Any) -> None:
    (tmp_path.parent / "outside.json").write_text('{"hidden": 8}')
    train = f"{IMPORT}import json\nconfig = json.load(open('../outside.json'))\nNet(config['hidden'], 1)"
    assert find({"train.py": train}) == []


needs_yaml = pytest.mark.skipif(importlib.util.find_spec("yaml") is None, reason="PyYAML is not installed")


@needs_yaml
@pytest.mark.parametrize(
    ("load", "call"),
    [
        ("with open('a.yaml') as f:\n    c = yaml.safe_load(f)", "Net(c['net']['hidden'], c['net']['depth'])"),
        ("c = OmegaConf.load('a.yaml')", "Net(c.net.hidden, depth=c.net.depth)"),
        ("c = EasyDict(yaml.load(open('a.yaml'), Loader=yaml.Loader))", "Net(**c.net)"),
    ],
)
def test_yaml(find: Find, load: str, call: str) -> None:
    files = {"train.py": f"{IMPORT}import yaml\n{load}\n{call}", "a.yaml": "net:\n  hidden: 8\n  depth: 2\n"}
    (made,) = find(files)
    assert [*(made.args or ()), *made.kwargs.values()] == [8, 2]


@needs_yaml
@pytest.mark.parametrize("text", ["net: [", "net: {hidden: 2020-01-01}", "&a [*a]"])
def test_yaml_that_is_of_no_use(find: Find, text: str) -> None:
    train = f"{IMPORT}import yaml\nc = yaml.safe_load(open('a.yaml'))\nNet(c['net']['hidden'], 1)"
    assert find({"train.py": train, "a.yaml": text}) == []


@needs_yaml
def test_aliases_in_yaml_do_not_explode(find: Find) -> None:
    lines = ["a0: &a0 [1, 1]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30)]
    train = f"{IMPORT}import yaml\nc = yaml.safe_load(open('a.yaml'))\nNet(c['a0'], 1)"
    assert find({"train.py": train, "a.yaml": "\n".join(lines)}) == []


def test_without_pyyaml(find: Find, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    train = f"{IMPORT}import yaml\nc = yaml.safe_load(open('a.yaml'))\nNet(c['hidden'], 1)"
    assert find({"train.py": train, "a.yaml": "hidden: 8"}) == []


@needs_yaml
def test_hydra(find: Find) -> None:
    train = """
    import hydra
    from model import Net
    @hydra.main(version_base=None, config_path="conf", config_name="config")
    def main(cfg):
        Net(cfg.model.hidden, depth=cfg.model.depth)
    main()
    """
    files = {
        "conf/config.yaml": "defaults:\n  - model: small\n  - _self_\nwidth: 8\nmodel:\n  depth: 3\n",
        "conf/model/small.yaml": "hidden: ${width}\ndepth: 1\nname: ${oc.env:USER}\n",
    }
    assert arguments(find, train, **files) == ((8,), {"depth": 3})


CONFIG = """
from dataclasses import dataclass, field
@dataclass
class Base:
    hidden: int = 64
@dataclass
class Config(Base):
    depth: int = 2
    sizes: list = field(default_factory=lambda: [1, 2])
    data: str
"""


@pytest.mark.parametrize(
    ("make", "values"),
    [
        ("Config()", (64, 2)),
        ("Config(hidden=8)", (8, 2)),
        ("Config(8, 1)", (8, 1)),
    ],
)
@pytest.mark.parametrize("place", ["train.py", "config.py"])
def test_configuration_classes(find: Find, make: str, values: tuple[int, int], place: str) -> None:
    use = f"from model import Net\nc = {make}\nNet(c.hidden, depth=c.depth)"
    files = {"train.py": CONFIG + use}
    if place == "config.py":
        files = {"config.py": CONFIG, "train.py": f"from config import Config\n{use}"}
    (made,) = find(files)
    assert (made.args, made.kwargs) == ((values[0],), {"depth": values[1]})


def test_a_whole_configuration_becomes_settings(find: Find) -> None:
    (config, _), _ = arguments(find, CONFIG + IMPORT + "Net(Config(), 1)")
    assert settings(config) == {"hidden": 64, "depth": 2, "sizes": [1, 2]}


@pytest.mark.parametrize(
    ("config", "use"),
    [
        ("class C:\n    hidden = 8", "from config import C\nNet(C.hidden, 1)"),
        ("class C:\n    hidden = 8", "import config\nNet(config.C.hidden, 1)"),
        (
            "class C:\n    def __init__(self, width=4):\n        self.hidden = 2 * width",
            "import config as k\nc = k.C()\nNet(c.hidden, 1)",
        ),
        ("HIDDEN = 8", "from config import HIDDEN\nNet(HIDDEN, 1)"),
        ("NET = dict(hidden=8)", "import config\nNet(config.NET['hidden'], 1)"),
    ],
)
def test_constants_of_a_third_file(find: Find, config: str, use: str) -> None:
    assert arguments(find, IMPORT + use, config_dot_py=config) == ((8, 1), {})


@pytest.mark.parametrize(
    ("code", "expression"),
    [
        ("from model import NetConfig\nNet(NetConfig(n_layer=2), 1)", "NetConfig(n_layer=2)"),
        ("import model as m\nc = m.NetConfig(2)\nNet(c, 1)", "NetConfig(2)"),
        (
            "from model import NetConfig as C\ndef main(n=3):\n    c = C(n_layer=n)\n    Net(c.width, 1)",
            "NetConfig(n_layer=3).width",
        ),
        ("import torch.nn\nNet(torch.nn.ReLU(), 1)", "nn.ReLU()"),
        ("import torch\nNet(torch.relu, 1)", "torch.relu"),
        ("from model import Block\nNet([Block(), Block()], 1)", "[Block(), Block()]"),
    ],
)
def test_expressions_are_said_in_the_names_of_the_checked_file(find: Find, code: str, expression: str) -> None:
    assert arguments(find, IMPORT + code) == (({"expression": expression}, 1), {})


def test_a_configuration_object_that_is_changed_by_and_by(find: Find) -> None:
    (config, _), _ = arguments(find, f"{CHANGED}c.n_layer = 3\nc.width = W * 2\nNet(c, 1)")
    made = eval(config["expression"], {"NetConfig": SimpleNamespace})
    assert (made.n_layer, made.width) == (3, 8)


@pytest.mark.parametrize("change", ["c.n_layer = len(data)", "c.part.width = 3", "c['width'] = 3"])
def test_a_configuration_object_that_is_changed_beyond_knowledge(find: Find, change: str) -> None:
    assert find({"train.py": f"{CHANGED}{change}\nNet(c, 1)"}) == []


@pytest.mark.parametrize(
    "code",
    [
        "import numpy as np\nNet(np.zeros(3), 1)",
        "import torch\nNet(torch.load('a.pt'), 1)",
        "import os\nNet(os.getcwd(), 1)",
        "Net(__import__('os').getcwd(), 1)",
        "Net(eval('1'), 1)",
        "class Block: pass\nNet(Block(), 1)",
        "from other import Block\nNet(Block(), 1)",
    ],
)
def test_expressions_that_mean_nothing_in_the_checked_file(find: Find, code: str) -> None:
    assert find({"train.py": IMPORT + code, "other.py": "class Block: pass"}) == []


@pytest.mark.parametrize(
    ("code", "shape"),
    [
        ("net = Net(8, 1)\nnet(torch.randn(2, 3))", (2, 3)),
        ("B = 4\ndef main():\n    net = Net(8, 1).cuda()\n    x = torch.randn(B, 3)\n    y = net(x)", (4, 3)),
        (
            "class TestNet:\n    def setUp(self):\n        self.net = Net(8, 1)\n"
            "    def test(self):\n        self.net(torch.rand(1, 2))",
            (1, 2),
        ),
    ],
)
def test_inputs_come_along(find: Find, code: str, shape: tuple[int, ...]) -> None:
    (made,) = find({"train.py": f"import torch\n{IMPORT}{code}"})
    assert made.inputs == (InputSpec(shape),)
    assert made.fed_place == f"train.py:{made.fed_at}"


def test_inputs_of_a_test_serve_the_same_construction_of_a_script(find: Find) -> None:
    (made,) = find(
        {"train.py": f"{IMPORT}Net(8, 1)", "tests/test_net.py": f"import torch\n{IMPORT}Net(8, 1)(torch.ones(4, 2))"}
    )
    assert (made.place, made.inputs, made.fed_place) == ("train.py:2", (InputSpec((4, 2)),), "tests/test_net.py:3")


@pytest.mark.parametrize(
    ("call", "value"), [("torch.ones(3).cumsum(0)", "torch.ones(3).cumsum(0)"), ("np.ones(3)", None)]
)
def test_computed_inputs_are_said_in_the_names_of_the_checked_file(find: Find, call: str, value: str | None) -> None:
    (made,) = find({"train.py": f"import torch\nimport numpy as np\n{IMPORT}net = Net(8, 1)\nnet({call})"})
    assert [spec.value for spec in made.inputs or ()] == ([] if value is None else [value])


def test_parameters_of_a_test(find: Find) -> None:
    train = """
    import pytest, torch
    from model import Net
    @pytest.mark.parametrize("hidden, depth", [(8, 1), (16, 2)])
    @pytest.mark.parametrize("size", [4])
    def test_net(hidden, depth, size):
        Net(hidden, depth)(torch.ones(size, 2))
    """
    (made,) = find({"tests/test_net.py": train})
    assert (made.args, made.inputs) == ((8, 1), (InputSpec((4, 2)),))
