"""What a file does to a model's weights after its construction is done to the analysed model too."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gradlint.building import BuiltModel, build, load_module
from gradlint.core.location import Location
from gradlint.discovery import find_targets, scan_file

Built = Callable[..., BuiltModel]

HEAD = """
class Net(nn.Module):
    def __init__(self, n=3):
        super().__init__()
        self.fc = nn.Linear(n, n)
    def init_weights(self):
        nn.init.constant_(self.fc.weight, 7.)
    def init_hidden(self, batch):
        raise RuntimeError("no initialiser of weights")
    def forward(self, x):
        return self.fc(x)
def init_weights(m):
    if isinstance(m, nn.Linear):
        m.weight.data.fill_(7.)
def init_net(net, value=7.):
    for p in net.parameters():
        nn.init.constant_(p, value)
    return net
"""

SPELLINGS = {
    "module level": "net = Net()\nnet.apply(init_weights)",
    "called function": "net = Net()\ninit_net(net)",
    "loop at module level": "net = Net()\nfor p in net.parameters():\n    nn.init.constant_(p, 7.)",
    "one parameter": "net = Net()\nnn.init.constant_(net.fc.weight, 7.)",
    "its data": "net = Net()\nnet.fc.weight.data.fill_(7.)",
    "new data": "net = Net()\nnet.fc.weight.data = torch.full((3, 3), 7.)",
    "its own method": "def main():\n    net = Net()\n    net.init_weights()",
    "main block": 'if __name__ == "__main__":\n    net = Net()\n    net.apply(init_weights)',
    "main function": "def main():\n    net = Net().to('cpu')\n    net.apply(init_weights)\nmain()",
    "inline": "def main():\n    net = Net().apply(init_weights)\nmain()",
    "returned": "def main():\n    net = init_net(Net(), 7.)\nmain()",
    "rebound": "def main():\n    net = Net()\n    net = init_net(net)\nmain()",
    "attribute": (
        "class Trainer:\n    def __init__(self):\n        self.net = Net()\n        self.net.apply(init_weights)"
    ),
    "loop over modules": (
        "def main():\n    net = Net()\n    for m in net.modules():\n        if isinstance(m, nn.Linear):\n"
        "            nn.init.constant_(m.weight, 7.)"
    ),
    "a function inside": (
        "def main():\n    value = 7.\n    def start(m):\n        if isinstance(m, nn.Linear):\n"
        "            nn.init.constant_(m.weight, value)\n    net = Net()\n    net.apply(start)"
    ),
    "a lambda": "def main():\n    net = Net()\n    net.apply(lambda m: init_weights(m))",
    "several at once": "def main():\n    a, net = Net(4), Net()\n    for m in (a, net):\n        m.apply(init_weights)",
    "an option": (
        "import argparse\ndef main():\n    parser = argparse.ArgumentParser()\n"
        "    parser.add_argument('--value', default=7.)\n    args = parser.parse_args()\n"
        "    net = Net()\n    init_net(net, args.value)"
    ),
    "without gradients": "def main():\n    net = Net()\n    with torch.no_grad():\n        net.fc.weight.fill_(7.)",
    "taken branch": (
        "KIND = 'x'\ndef main():\n    net = Net()\n    if KIND == 'x' or True:\n        net.apply(init_weights)"
    ),
    "a function that trains": (
        "def train(net):\n    net.apply(init_weights)\n    net(torch.randn(2, 3)).sum().backward()\ntrain(Net())"
    ),
    "after another one was trained": (
        "def main():\n    a = Net(4)\n    a(torch.randn(2, 4)).sum().backward()\n    net = Net()\n    init_net(net)"
    ),
    "each fold": "def main():\n    for fold in range(5):\n        net = Net()\n        net.apply(init_weights)",
}


def built_from(tmp_path: Path, text: str, name: str = "Net") -> BuiltModel:
    path = tmp_path / "model.py"
    path.write_text(f"import torch\nimport torch.nn as nn{HEAD}{text}\n")
    target = next(t for t in find_targets(scan_file(str(path), path.read_text())) if t.name == name)
    return build(target, load_module(str(path)))


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_weights_are_those_that_the_file_gives(tmp_path: Path, text: str) -> None:
    built = built_from(tmp_path, text)
    assert built.doubts == ()
    assert (built.model.fc.weight == 7.0).all()


KEPT = {
    "training": (
        "def main():\n    net = Net()\n    net(torch.randn(2, 3)).sum().backward()\n    net.apply(init_weights)"
    ),
    "by hand": "def main():\n    net = Net()\n    for p in net.parameters():\n        p.data.sub_(0.1 * p.grad)",
    "clipping in a loop": (
        "def main():\n    net = Net()\n    for i in range(3):\n        for p in net.parameters():\n"
        "            p.data.clamp_(7., 7.)"
    ),
    "hidden state": "def main():\n    net = Net()\n    h = net.init_hidden(3)",
    "frozen": "def main():\n    net = Net()\n    for p in net.parameters():\n        p.requires_grad_(False)",
    "untaken branch": "def main():\n    net = Net()\n    if False:\n        net.apply(init_weights)",
    "a function that only looks": "def show(m):\n    print(m)\ndef main():\n    net = Net()\n    net.apply(show)",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_what_is_no_initialisation_is_left_out(tmp_path: Path, text: str) -> None:
    built = built_from(tmp_path, text)
    assert built.doubts == ()
    assert not (built.model.fc.weight == 7.0).any()
    assert built.model.fc.weight.requires_grad


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("def main(value):\n    net = Net()\n    init_net(net, value)", "it depends on value, whose value the file"),
        ("def main():\n    net = Net()\n    net.apply(init_nothing)", "it depends on init_nothing"),
        ("def init_all(m):\n    nn.init.zeros_(m.nowhere)\ndef main():\n    net = Net()\n    init_all(net)", "nowhere"),
        (
            "def main(kind):\n    net = Net()\n    if kind:\n        net.apply(init_weights)\n"
            "    else:\n        init_net(net)",
            "depends on kind",
        ),
    ],
)
def test_what_cannot_be_carried_out_is_told(tmp_path: Path, text: str, why: str) -> None:
    doubt, *_ = built_from(tmp_path, text).doubts
    assert doubt.text.startswith("initialisation in line ")
    assert "not applied: " in doubt.text
    assert why in doubt.text
    assert doubt.location == Location(str(tmp_path / "model.py"), doubt.location.line)


def test_a_module_level_model_is_initialised_by_a_function_and_by_the_main_block(tmp_path: Path) -> None:
    text = "seq = nn.Sequential(nn.Linear(3, 3))\ninit_net(seq, 2.)\n"
    main = 'if __name__ == "__main__":\n    seq.apply(init_weights)'
    model = built_from(tmp_path, text + main, "seq").model
    assert (model[0].weight == 7.0).all()
    assert (model[0].bias == 2.0).all()


def test_a_large_model_is_initialised_without_memory(tmp_path: Path) -> None:
    built = built_from(tmp_path, "net = Net(6000)\nnet.apply(init_weights)")
    assert built.fake_mode is not None
    assert (built.values["fc.weight"].sample == 7.0).all()
