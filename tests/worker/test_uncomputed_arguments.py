"""Models whose own file says with which arguments they are built, by means that are not there when it is checked."""

from pathlib import Path

import pytest

from gradlint.core.errors import AnalysisError
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, examine

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"
NET = """
class Net(nn.Module):
    def __init__(self, observations, hidden, actions=4):
        super().__init__()
        self.a = nn.Linear(observations, hidden)
        self.b = nn.Linear(hidden, actions)
    def forward(self, x):
        return self.b(torch.relu(self.a(x)))
"""


def examined(folder: Path, body: str, files: dict[str, str] | None = None) -> Examined:
    for name, text in {"pyproject.toml": "", "model.py": HEAD + body, **(files or {})}.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    path = folder / "model.py"
    return examine(find_targets(scan_file(str(path), path.read_text()))[-1], path.read_text(), on_stage=lambda _: None)


def doubts(found: Examined) -> list[str]:
    return [doubt.text for doubt in found.built.doubts]


def test_what_an_absent_package_would_have_told_is_guessed_and_the_rest_kept(tmp_path: Path) -> None:
    found = examined(
        tmp_path,
        "import absent_gym\nenv = absent_gym.make('CartPole')\nobservations, info = env.reset()\n"
        + NET
        + "net = Net(len(observations), 48)\n",
    )
    assert found.built.model.a.out_features == 48
    (doubt,) = [text for text in doubts(found) if "guess: " in text]
    assert "model.py:15 gives observations, not to be computed here (MissingPackageError" in doubt


def test_a_file_that_is_not_there_keeps_no_model_from_being_checked(tmp_path: Path) -> None:
    body = "text = open('corpus.txt').read()\nchars = tuple(set(text))\n" + NET + "net = Net(len(chars), 32)\n"
    assert any("No such file or directory: 'corpus.txt'" in text for text in doubts(examined(tmp_path, body)))


def test_a_default_stands_in_where_there_is_one(tmp_path: Path) -> None:
    body = "import absent_gym\nenv = absent_gym.make()\n" + NET + "net = Net(5, 16, actions=env.action_space.n)\n"
    found = examined(tmp_path, body)
    assert found.built.model.b.out_features == 4
    (doubt,) = doubts(found)
    assert "gives actions, not to be computed here" in doubt and doubt.endswith(": defaults stand in")


def test_a_part_whose_constructor_raises_is_no_guess(tmp_path: Path) -> None:
    body = (
        NET
        + "class Part(nn.Module):\n    def __init__(self):\n        raise ValueError('mine')\nnet = Net(Part(), 3)\n"
    )
    with pytest.raises(AnalysisError, match="ValueError: mine"):
        examined(tmp_path, body)


def test_a_parameter_of_the_constructor_is_no_name_of_the_script(tmp_path: Path) -> None:
    body = "import absent_gym\nhidden = absent_gym.make().hidden\n" + NET + "net = Net(6, 12)\n"
    assert doubts(examined(tmp_path, body)) == []


CONFIGURED = """
import absent_hydra
class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.act = getattr(nn, cfg.model.activation)()
        self.a = nn.Linear(cfg.model.width, 3)
    def forward(self, x):
        return self.a(self.act(x))

@absent_hydra.main(config_path="conf", config_name="config")
def main(cfg):
    net = Net(cfg)
"""


def test_a_main_function_of_the_same_file_is_read_like_one_of_another(tmp_path: Path) -> None:
    source = CONFIGURED.replace("absent_hydra", "hydra")
    found = examined(tmp_path, source, {"conf/config.yaml": "model:\n  width: 11\n  activation: GELU\n"})
    assert (found.built.model.a.in_features, type(found.built.model.act).__name__) == (11, "GELU")


def test_all_options_of_a_parser_that_a_function_makes(tmp_path: Path) -> None:
    body = CONFIGURED.partition("@")[0].replace("import absent_hydra", "import argparse").replace("cfg.model", "cfg")
    main = (
        "def main():\n    p = argparse.ArgumentParser()\n    p.add_argument('--width', type=int, default=9)\n"
        "    p.add_argument('--activation', default='SiLU')\n    args = p.parse_args()\n    net = Net(args)\n"
    )
    assert examined(tmp_path, body + main).built.model.a.in_features == 9


def test_a_dictionary_that_a_loop_fills_is_counted_when_it_is_full(tmp_path: Path) -> None:
    body = (
        "index = {}\nfor word in 'a b c b'.split():\n    index[word] = len(index)\n"
        + NET
        + "net = Net(len(index), 7)\n"
    )
    found = examined(tmp_path, body)
    assert (found.built.model.a.in_features, doubts(found)) == (3, [])
