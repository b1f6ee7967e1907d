"""Constructors whose arguments nobody says: the kinds that public repositories are full of, each built and run."""

from pathlib import Path

import pytest

from gradlint import building
from gradlint.building.guessing import guesses
from gradlint.core.errors import AnalysisError
from gradlint.core.target import Target
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, examine
from gradlint.worker.doubts import doubts_on

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"


def examined(folder: Path, body: str) -> Examined:
    """The last model of a file, through the whole pipeline but the rules."""
    path = folder / "model.py"
    source = HEAD + body
    path.write_text(source)
    target = find_targets(scan_file(str(path), source))[-1]
    return examine(target, source, on_stage=lambda name: None)


POSITIONAL = """
class Net(nn.Module):
    def __init__(self, input_size, hidden_size, num_classes):
        super().__init__()
        self.fc1 = nn.Linear(input_size, hidden_size)
        self.fc2 = nn.Linear(hidden_size, num_classes)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))
"""
UNNAMED = """
class Net(nn.Module):
    def __init__(self, a, b, c):
        super().__init__()
        self.conv = nn.Conv2d(a, b, c, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(b)

    def forward(self, x):
        return F.relu(self.norm(self.conv(x)))
"""
LISTS = """
class Net(nn.Module):
    def __init__(self, in_channels, widths, num_blocks):
        super().__init__()
        layers = []
        for width, count in zip(widths, num_blocks):
            for _ in range(count):
                layers += [nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU()]
                in_channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))
"""
RESNET = """
class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super().__init__()
        self.conv = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(planes)
        self.shortcut = nn.Conv2d(in_planes, planes, 1, stride=stride)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)) + self.shortcut(x))

class ResNet(nn.Module):
    def __init__(self, block, num_blocks, num_classes=10):
        super().__init__()
        self.in_planes = 64
        self.stem = nn.Conv2d(3, 64, 3, padding=1)
        self.layer1 = self._make_layer(block, 64, num_blocks[0], 1)
        self.layer2 = self._make_layer(block, 128, num_blocks[1], 2)
        self.linear = nn.Linear(128 * block.expansion, num_classes)

    def _make_layer(self, block, planes, num_blocks, stride):
        layers = []
        for s in [stride] + [1] * (num_blocks - 1):
            layers.append(block(self.in_planes, planes, s))
            self.in_planes = planes * block.expansion
        return nn.Sequential(*layers)

    def forward(self, x):
        return self.linear(self.layer2(self.layer1(self.stem(x))).mean((2, 3)))
"""
CONFIG = """
class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm = nn.LayerNorm(config.n_embd)
        self.attn = nn.MultiheadAttention(config.n_embd, config.n_head, dropout=config.dropout, batch_first=True)
        self.scale = getattr(config, "layer_scale", None)

    def forward(self, x):
        x = self.norm(x)
        return x + self.attn(x, x, x)[0]

class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.n_layer)])
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)

    def forward(self, idx):
        x = self.wte(idx)
        for block in self.blocks:
            x = block(x)
        return self.head(x)
"""
NESTED_CONFIG = """
class Net(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(cfg.model.input_dim, cfg.model.hidden), nn.ReLU())
        self.head = nn.Linear(cfg.model.hidden, cfg.data.num_classes)

    def forward(self, x):
        return self.head(self.body(x))
"""
KEYS = """
class Net(nn.Module):
    def __init__(self, params):
        super().__init__()
        self.fc1 = nn.Linear(params["input_dim"], params["hidden_dim"])
        self.fc2 = nn.Linear(params["hidden_dim"], params["num_classes"])

    def forward(self, x):
        return self.fc2(torch.tanh(self.fc1(x)))
"""
DATACLASS = """
from dataclasses import dataclass

@dataclass
class ModelArgs:
    dim: int
    n_layers: int = 2
    activation: str = "relu"

class Net(nn.Module):
    def __init__(self, args: ModelArgs):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(args.dim, args.dim) for _ in range(args.n_layers)])

    def forward(self, x):
        for layer in self.layers:
            x = F.relu(layer(x))
        return x
"""
SIBLINGS = """
class Encoder(nn.Module):
    def __init__(self, input_dim, emb_dim, hid_dim, n_layers, dropout):
        super().__init__()
        self.embedding = nn.Embedding(input_dim, emb_dim)
        self.rnn = nn.LSTM(emb_dim, hid_dim, n_layers, dropout=dropout, batch_first=True)

    def forward(self, src):
        return self.rnn(self.embedding(src))[0]

class Decoder(nn.Module):
    def __init__(self, output_dim, hid_dim):
        super().__init__()
        self.fc = nn.Linear(hid_dim, output_dim)

    def forward(self, x):
        return self.fc(x)

class Seq2Seq(nn.Module):
    def __init__(self, encoder, decoder, device):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.device = device

    def forward(self, src):
        return self.decoder(self.encoder(src))
"""
CLASSES = """
class Net(nn.Module):
    def __init__(self, dim, depth, act_layer, norm_layer, use_bias):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(dim, dim, bias=not use_bias), norm_layer(dim), act_layer()]
        self.body = nn.Sequential(*layers)

    def forward(self, x):
        return self.body(x)
"""
TEXTS = """
class Net(nn.Module):
    def __init__(self, dim, mode):
        super().__init__()
        if mode == "deep":
            self.body = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))
        elif mode == "shallow":
            self.body = nn.Linear(dim, dim)
        else:
            raise ValueError(f"unknown mode {mode}")

    def forward(self, x):
        return self.body(x)
"""
CHECKED_TEXT = """
MODES = {"plain": nn.ReLU, "gated": nn.SiLU}

class Net(nn.Module):
    def __init__(self, dim, act_fn):
        super().__init__()
        if act_fn not in MODES:
            raise ValueError(f"act_fn must be one of {list(MODES)}")
        self.body = nn.Sequential(nn.Linear(dim, dim), MODES[act_fn]())

    def forward(self, x):
        return self.body(x)
"""
VIT = """
class ViT(nn.Module):
    def __init__(self, image_size, patch_size, num_classes, dim, depth, heads, mlp_dim):
        super().__init__()
        assert image_size % patch_size == 0
        self.patch = nn.Conv2d(3, dim, patch_size, stride=patch_size)
        self.pos = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(dim, heads, mlp_dim, batch_first=True)
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(dim, num_classes)

    def forward(self, img):
        x = self.patch(img).flatten(2).transpose(1, 2) + self.pos
        return self.head(self.body(x).mean(1))
"""
HANDED_ON = """
class Layers(nn.Module):
    def __init__(self, dim, depth):
        super().__init__()
        self.body = nn.Sequential(*(nn.Linear(dim, dim) for _ in range(depth)))

class Net(Layers):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)

    def forward(self, x):
        return torch.relu(self.body(x))
"""
NEEDED_AFTER_ALL = """
class Net(nn.Module):
    def __init__(self, hidden_dim=64, input_dim=None):
        super().__init__()
        if input_dim is None:
            raise ValueError("input_dim must be given")
        self.body = nn.Linear(input_dim, hidden_dim)

    def forward(self, x):
        return torch.relu(self.body(x))
"""
TUPLE_OR_LIST = """
class Net(nn.Module):
    def __init__(self, channels):
        super().__init__()
        channels.reverse()
        self.body = nn.Sequential(*(nn.Linear(a, b) for a, b in zip(channels, channels[1:])))

    def forward(self, x):
        return self.body(x)
"""
FACTORY_OPTIONS = """
class Net(nn.Module):
    def __init__(self, embed_dim: int, num_heads: int, window: tuple[int, int], qkv_bias: bool, drop: float):
        super().__init__()
        assert len(window) == 2 and 0 <= drop < 1
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=qkv_bias)
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.heads = num_heads

    def forward(self, x):
        b, n, c = x.shape
        q, k, v = self.qkv(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, c))
"""
GUESSED = {name.lower(): text for name, text in list(globals().items()) if name.isupper() and name != "HEAD"}


@pytest.mark.parametrize("body", GUESSED.values(), ids=GUESSED.keys())
def test_a_guess_builds_and_runs(body: str, tmp_path: Path) -> None:
    result = examined(tmp_path, body)
    assert result.built.built.startswith("guessed: ")
    assert result.fed is not None
    assert not result.flow.unknown
    reached = result.graph.reachable
    assert reached and all(result.flow.parameters()[name].gradient_rms for name in reached)


def test_a_guess_is_told_with_what_was_guessed(tmp_path: Path) -> None:
    result = examined(tmp_path, POSITIONAL)
    assert result.built.built == "guessed: input_size=64, hidden_size=256, num_classes=10"
    (doubt,) = doubts_on(result.target, result.built, result.fed)
    assert "these are a guess: input_size=64, hidden_size=256, num_classes=10" in doubt.text
    assert doubt.location.line == 5


def test_nothing_is_guessed_where_the_file_says_it(tmp_path: Path) -> None:
    result = examined(tmp_path, POSITIONAL + "\nnet = Net(12, 34, 5)\n")
    assert result.built.built == "as in model.py:14"


def test_what_cannot_be_guessed_is_asked_for(tmp_path: Path) -> None:
    body = POSITIONAL.replace("__init__(self, ", "__init__(self, parts: nn.ModuleList, ")
    with pytest.raises(AnalysisError, match="needs arguments that are not known: parts, input_size") as error:
        examined(tmp_path, body)
    assert "kwargs = {" in error.value.remedy


def test_the_first_failed_guess_is_told(tmp_path: Path) -> None:
    body = POSITIONAL.replace("super().__init__()", "super().__init__(); raise RuntimeError('no licence')")
    with pytest.raises(AnalysisError, match=r"guessed: input_size=64.*RuntimeError: no licence"):
        examined(tmp_path, body)


PATCHED = """
class Net(nn.Module):
    def __init__(self, image_size, small_patch_size=12, large_patch_size=16):
        super().__init__()
        assert image_size % small_patch_size == 0 and image_size % large_patch_size == 0, "no whole patches"
        self.conv = nn.Conv2d(3, 8, large_patch_size, stride=large_patch_size)

    def forward(self, x):
        return self.conv(x)
"""
LISTED = """
class Part(nn.Module):
    def __init__(self, width=32, extra_dim: int = None):
        super().__init__()
        self.fc = nn.Linear(
            width,
            2 * extra_dim,
        )

    def forward(self, x):
        return self.fc(x)


class Net(nn.Module):
    def __init__(self, parts: list[Part]):
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x):
        return sum(part(x) for part in self.parts)
"""


def test_an_image_has_whole_patches_of_every_size(tmp_path: Path) -> None:
    assert examined(tmp_path, PATCHED).built.built == "guessed: image_size=192"


def test_what_parts_in_a_list_lack_is_guessed(tmp_path: Path) -> None:
    parts = ", ".join(["Part(extra_dim=256)"] * 2)
    assert examined(tmp_path, LISTED).built.built == f"guessed: parts=[{parts}]"


def test_a_statement_beside_the_model_that_fails_is_told(tmp_path: Path) -> None:
    body = POSITIONAL.replace("class Net", "WIDTH = undefined()\n\nclass Net", 1).replace("hidden_size)", "WIDTH)", 1)
    with pytest.raises(AnalysisError, match="building Net failed: NameError: name 'undefined' is not defined") as error:
        examined(tmp_path, body)
    assert error.value.location is not None
    assert error.value.location.line == 5


INDEXED = """
class Net(nn.Module):
    def __init__(self, in_channels, widths):
        super().__init__()
        self.first = nn.Conv2d(in_channels, widths[0], 3)
        self.body = nn.Sequential(nn.Conv2d(widths[0], widths[5], 3), nn.ReLU(), nn.Conv2d(widths[5], widths[8], 3))

    def forward(self, x):
        return self.body(self.first(x))
"""


def test_a_list_that_an_index_ran_out_of_is_made_longer(tmp_path: Path) -> None:
    found = examined(tmp_path, INDEXED)
    assert found.fed is not None
    assert found.built.model.body[2].out_channels > 0
    assert "widths=(" in found.built.built


BUILT_BUT_NOT_RUN = """
class Part(nn.Module):
    def __init__(self, dim, depth=None):
        super().__init__()
        assert depth is not None, "`depth` must be given"
        self.layer = nn.Linear(dim, dim)

    def forward(self, x):
        raise RuntimeError("on no input")


class Net(nn.Module):
    def __init__(self, part: Part):
        super().__init__()
        self.part = part

    def forward(self, x):
        return self.part(x)
"""


def test_what_is_told_of_guesses_is_what_the_farthest_failed_at(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"guessed: part=Part\(dim=256, depth=4\): .*on no input") as error:
        examined(tmp_path, BUILT_BUT_NOT_RUN)
    assert "must be given" not in error.value.message


def test_guesses_differ_from_one_another(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEAD + LISTS)
    namespace = building.load_module(str(path))
    found = list(guesses(namespace.module.Net, (), namespace))
    told = [guess.described for guess in found]
    assert len(told) == len(set(told)) > 2
    assert all(set(guess.kwargs) == {"in_channels", "widths", "num_blocks"} for guess in found)


def test_a_configured_argument_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEAD + POSITIONAL)
    target = Target(str(path), "Net", 5, kwargs={"hidden_size": 48})
    namespace = building.load_module(str(path))
    first = next(building.guessed(target, namespace))
    assert first.kwargs == {"hidden_size": 48, "input_size": 64, "num_classes": 10}
    assert first.built == "guessed: input_size=64, num_classes=10"
