"""Models that take other models: the module comes from the files beside, and errors further in mend the inner call."""

from pathlib import Path

import pytest

from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, examine

HEAD = "import torch\nimport torch.nn.functional as F\nfrom torch import nn\n"


def examined(folder: Path, **files: str) -> Examined:
    """The last model of the first file, through the whole pipeline but the rules."""
    for name, body in files.items():
        (folder / f"{name}.py").write_text(HEAD + body)
    path = folder / f"{next(iter(files))}.py"
    target = find_targets(scan_file(str(path), path.read_text()))[-1]
    result = examine(target, path.read_text(), on_stage=lambda name: None)
    assert result.fed is not None
    return result


VIT = """
class Block(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x):
        return x + self.attn(x, x, x)[0]


class ViT(nn.Module):
    def __init__(self, image_size, patch_size, num_classes, dim, depth, heads):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, patch_size, patch_size)
        self.pos_embedding = nn.Parameter(torch.randn(1, (image_size // patch_size) ** 2, dim))
        self.transformer = nn.Sequential(*[Block(dim, heads) for _ in range(depth)])
        self.head = nn.Linear(dim, num_classes)

    def forward(self, img):
        tokens = self.patch(img).flatten(2).transpose(1, 2) + self.pos_embedding
        return self.head(self.transformer(tokens).mean(1))
"""
MASKED = """
class Masked(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        dim = encoder.pos_embedding.shape[-1]
        self.mask = nn.Parameter(torch.randn(dim))
        self.to_pixels = nn.Linear(dim, 3)

    def forward(self, img):
        tokens = self.encoder.patch(img).flatten(2).transpose(1, 2) + self.encoder.pos_embedding
        return self.to_pixels(self.encoder.transformer(tokens + self.mask))
"""


def test_a_wrapped_module_is_the_class_beside_that_has_what_is_read_of_it(tmp_path: Path) -> None:
    found = examined(tmp_path, masked=MASKED, vit=VIT)
    assert "encoder=ViT(image_size=224" in found.built.built
    assert found.fed is not None and found.fed.described == "(8, 3, 224, 224) float32"


READING = """
class Wrapper(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.head = nn.Linear(net.{}, 2)

    def forward(self, x):
        return self.head(self.net(x))
"""
READ = """
class {}(nn.Module):
    def __init__(self, size=8):
        super().__init__()
        self.{} = size
        self.layer = nn.Linear(8, size)

    def forward(self, x):
        return self.layer(x)
"""


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    built = []
    for name in ("width", "hidden"):
        folder = tmp_path / name
        folder.mkdir()
        parts = {"one": READ.format("One", "width"), "two": READ.format("Two", "hidden")}
        built.append(examined(folder, wrap=READING.format(name), **parts).built.built)
    assert built == ["guessed: net=One()", "guessed: net=Two()"]


def test_a_script_beside_is_not_run_in_search_of_one(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(f"{HEAD}{VIT}\nopen({str(tmp_path / 'ran')!r}, 'w')\nprint('training')\n")
    with pytest.raises(Exception, match="encoder"):
        examined(tmp_path, masked=MASKED)
    assert not (tmp_path / "ran").exists()


GENERIC = """
class Head(nn.Module):
    def __init__(self, net, dim):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x)


class SelfSupervised(nn.Module):
    def __init__(self, net, image_size):
        super().__init__()
        self.online = Head(net, 64)

    def forward(self, img):
        return self.online(img)
"""


def test_a_net_of_which_nothing_is_read_is_what_the_other_files_import(tmp_path: Path) -> None:
    user = "from vit import ViT\n"
    found = examined(tmp_path, byol=GENERIC, vit=VIT, train=f"{user}net = ViT(32, 8, 10, 64, 2, 4)\n")
    assert "net=ViT(" in found.built.built and "Head(" not in found.built.built


LAYERS = """
class Layers(nn.Module):
    def __init__(self, dim, depth=None, causal=False):
        super().__init__()
        assert depth is not None, '`depth` must be passed in for `Decoder` or `Encoder`'
        self.causal = causal
        self.layers = nn.ModuleList([nn.Linear(dim, dim) for _ in range(depth)])

    def forward(self, x):
        for layer in self.layers:
            x = x + F.gelu(layer(x))
        return x


class Decoder(Layers):
    def __init__(self, **kwargs):
        super().__init__(causal=True, **kwargs)


class Wrapper(nn.Module):
    def __init__(self, num_tokens, layers: Layers):
        super().__init__()
        self.emb = nn.Embedding(num_tokens, 256)
        self.layers = layers
        self.out = nn.Linear(256, num_tokens)

    def forward(self, x):
        return self.out(self.layers(self.emb(x)))
"""
INNER = """
from layers import Wrapper


class Trainer(nn.Module):
    def __init__(self, model: Wrapper):
        super().__init__()
        assert model.layers.causal, 'must be a decoder'
        self.model = model

    def forward(self, x):
        return F.cross_entropy(self.model(x[:, :-1]).transpose(1, 2), x[:, 1:])
"""


def test_errors_of_an_inner_constructor_mend_the_inner_call(tmp_path: Path) -> None:
    found = examined(tmp_path, trainer=INNER, layers=LAYERS)
    assert "layers=Decoder(dim=256, depth=4)" in found.built.built


DECODER = """
from typing import List, Literal


class Decoder(nn.Module):
    def __init__(self, encoder_channels, decoder_channels, depth: Literal[3, 5], rates, n_blocks=5):
        super().__init__()
        if n_blocks != len(decoder_channels):
            raise ValueError(f"Model depth is {n_blocks}, but you provide `decoder_channels` for {len(decoder_channels)} blocks.")
        first, second, third = rates
        self.lateral = nn.ModuleList([nn.Conv2d(c, 16, 1) for c in encoder_channels[:depth]])
        self.out = nn.Conv2d(16, decoder_channels[0], 3, padding=first, dilation=first)

    def forward(self, features: List[torch.Tensor]):
        features = features[::-1]
        x = 0
        for feature, lateral in zip(features[::-1], self.lateral):
            x = x + F.interpolate(lateral(feature), size=(16, 16))
        return self.out(x)
"""  # noqa: E501 (a line of such a file)


def test_lists_get_the_lengths_that_errors_say_and_maps_the_widths_of_the_encoder(tmp_path: Path) -> None:
    found = examined(tmp_path, decoder=DECODER)
    assert "decoder_channels=(32, 64, 128, 256, 512)" in found.built.built
    assert "depth=5" in found.built.built and "rates=(16, 16, 16)" in found.built.built
    assert found.fed is not None and found.fed.described.startswith("[(8, 32, 64, 64) float32, (8, 64, 32, 32) float32")


OF_THREE = """
class Net(nn.Module):
    def __init__(self, dims, num_classes):
        super().__init__()
        assert len(dims) == 3, "dims must be a tuple of 3"
        self.body = nn.Sequential(*[nn.Linear(a, b) for a, b in zip(dims, dims[1:])])
        self.head = nn.Linear(dims[-1], num_classes)

    def forward(self, x):
        return self.head(self.body(x))
"""


def test_a_tuple_has_as_many_entries_as_an_error_asks_for(tmp_path: Path) -> None:
    assert "dims=(32, 64, 128), " in examined(tmp_path, net=OF_THREE).built.built


TABLE = """
class Encoder(nn.Module):
    def __init__(self, widths, block, **kwargs):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, widths[0], 3), block(), nn.Conv2d(widths[0], widths[1], 3))

    def forward(self, x):
        return self.body(x)


encoders = {
    "small": {"encoder": Encoder, "weights": {"url": "https://example.org"}, "params": {"widths": [24, 40], "block": nn.GELU}},
    "large": {"encoder": Encoder, "weights": None, "params": dict(widths=[64, 96], block=nn.ReLU)},
}
"""  # noqa: E501 (a line of such a file)


def test_a_table_of_settings_says_how_its_class_is_built(tmp_path: Path) -> None:
    found = examined(tmp_path, encoders=TABLE)
    assert found.built.built == "as in encoders.py:15"
    assert [len(p) for p in found.built.model.parameters()] == [24, 24, 40, 40]


REGISTER = """
class Registry:
    def __init__(self):
        self.known = {}

    def register_class(self, name, cls):
        self.known[name] = cls


BACKBONES = Registry()
BACKBONES.register_class("plain", nn.Identity)


class Net(nn.Module):
    def __init__(self, backbone: str, num_classes: int):
        super().__init__()
        if backbone not in BACKBONES.known:
            raise ValueError(f"unknown backbone {backbone}, must be one of {BACKBONES.known.keys()}")
        self.body = BACKBONES.known[backbone]()
        self.head = nn.Linear(32, num_classes)

    def forward(self, x):
        return self.head(self.body(x))
"""


def test_a_text_is_one_of_those_that_the_error_lists(tmp_path: Path) -> None:
    assert "backbone='plain'" in examined(tmp_path, net=REGISTER).built.built


MAIN = """
class Video(nn.Module):
    def __init__(self, image_net):
        super().__init__()
        self.image_net = image_net

    def forward(self, video):
        return torch.stack([self.image_net(frame) for frame in video.unbind(2)]).mean(0)


if __name__ == "__main__":
    from package import Small
    net = Video(Small(7))
    net(torch.randn(2, 3, 4, 16, 16))
"""


def test_the_package_is_run_where_only_the_main_block_imports_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("from package.small import Small\n")
    (folder / "small.py").write_text(
        f"{HEAD}class Small(nn.Module):\n    def __init__(self, n):\n        super().__init__()\n"
        "        self.conv = nn.Conv2d(3, n, 3)\n    def forward(self, x):\n        return self.conv(x)\n"
    )
    found = examined(folder, video=MAIN)
    assert found.built.built == "as in video.py:16"
    assert found.built.model.image_net.conv.out_channels == 7
