"""Models of which only the laws of the parameters are known are predicted like those that hold values."""

import math
from pathlib import Path

import pytest

from gradlint.building import build, feed, load_module
from gradlint.core.flow import Flow
from gradlint.discovery import find_targets, scan_file
from gradlint.propagation import folding, propagate
from gradlint.tracing import trace

HEAD = "import torch\nfrom torch import nn\nimport torch.nn.functional as F\n"
AGREE = 0.05
"""Decades."""

MODELS = {
    "standardised weights": """
class Standardised(nn.Conv2d):
    def forward(self, x):
        flat = F.batch_norm(self.weight.reshape(1, self.out_channels, -1), None, None, training=True)
        return F.conv2d(x, 0.1 * flat.reshape_as(self.weight), self.bias, self.stride, self.padding)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Standardised(3, 32, 3, padding=1)
        self.b = Standardised(32, 32, 3, padding=1)

    def forward(self, x):
        return self.b(F.silu(self.a(x)))
""",
    "a learned query": """
class Net(nn.Module):
    def __init__(self, d=256):
        super().__init__()
        self.query = nn.Parameter(torch.randn(1, 1, d))
        self.embed = nn.Linear(d, d)
        self.pool = nn.MultiheadAttention(d, 4, batch_first=True)
        self.head = nn.Linear(d, 10)

    def forward(self, x):
        x = self.embed(x)
        return self.head(self.pool(self.query.repeat(len(x), 1, 1), x, x)[0][:, 0])
""",
    "a table of relative positions": """
class Net(nn.Module):
    def __init__(self, d=64, heads=4, n=64):
        super().__init__()
        self.embed = nn.Embedding(100, d)
        self.position = nn.Embedding(n, d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.table = nn.Parameter(torch.randn(2 * n, heads))
        index = torch.zeros(n, n, dtype=torch.int64)
        index += torch.arange(n)[None] - torch.arange(n)[:, None] + n
        self.register_buffer("index", index)

    def forward(self, ids):
        b, t = ids.shape
        x = self.embed(ids) + self.position.weight[:t]
        q, k, v = self.qkv(x).view(b, t, 3, 4, -1).permute(2, 0, 3, 1, 4)
        bias = self.table[self.index[:t, :t].reshape(-1)].view(t, t, -1).permute(2, 0, 1)
        return self.out(F.scaled_dot_product_attention(q, k, v, bias[None]).transpose(1, 2).reshape(b, t, -1))
""",
    "positions that are learned": """
class Net(nn.Module):
    def __init__(self, d=64, n=64):
        super().__init__()
        self.embed, self.head = nn.Linear(16, d), nn.Linear(d, d)
        self.position = nn.Parameter(torch.randn(1, n, d))

    def forward(self, x):
        return self.head(F.silu(self.embed(x) + self.position[:, : x.shape[1]]))
""",
    "positions as one-hot vectors": """
class Net(nn.Module):
    def __init__(self, d=64, n=64):
        super().__init__()
        self.embed, self.head = nn.Linear(16, d), nn.Linear(d, d)
        self.table = nn.Parameter(torch.randn(n, d))

    def forward(self, x):
        places = torch.arange(x.shape[1]).expand(len(x), -1)
        return self.head(self.embed(x) + F.one_hot(places, 64).to(self.table) @ self.table)
""",
}


NORMALISED = """
from torch.nn.utils.parametrizations import weight_norm


class Net(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.a = weight_norm(nn.Conv1d(d, 2 * d, 7, padding=3))
        self.b = weight_norm(nn.ConvTranspose1d(2 * d, d, 8, 4, 2))
        self.c = weight_norm(nn.Linear(d, d), dim=1)
        nn.init.uniform_(self.c.parametrizations.weight.original0, 0.2, 2.0)

    def forward(self, x):
        return self.c(F.silu(self.b(F.silu(self.a(x)))).transpose(1, 2))
"""
"""Weights g·v/‖v‖: all of unit length by construction but the last, whose lengths differ."""


def flow_of(path: Path, *, large: int) -> Flow:
    target = find_targets(scan_file(str(path), path.read_text()))[-1]
    built = build(target, load_module(target.path), large=large)
    assert (built.fake_mode is not None) == (large == 1000)
    return propagate(trace(built, feed(built)), built.values)


@pytest.mark.parametrize("name", MODELS)
def test_laws_tell_what_values_tell(name: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEAD + MODELS[name])
    agree(flow_of(path, large=10**9), flow_of(path, large=1000))


def test_rows_of_normalised_weights_tell_what_all_tell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEAD + NORMALISED)
    real = flow_of(path, large=10**9)
    monkeypatch.setattr(folding, "PORTION", 1 << 13)
    agree(real, flow_of(path, large=1000))


def agree(real: Flow, laws: Flow) -> None:
    assert not real.unknown and not laws.unknown
    figures = [
        (flows[0].activation_rms, flows[1].activation_rms, module)
        for module in real.module_flows
        for flows in [(real.module_flows[module], laws.module_flows[module])]
    ]
    figures += [(real.module_flows[m].gradient_rms, laws.module_flows[m].gradient_rms, m) for m in real.module_flows]
    learned = {name: flow.gradient_rms for name, flow in laws.parameter_flows.items()}
    figures += [(flow.gradient_rms, learned[name], name) for name, flow in real.parameter_flows.items()]
    apart = {m: math.log10(b / a) for a, b, m in figures if a and b and abs(math.log10(b / a)) > AGREE}
    assert not apart and all(bool(a) == bool(b) for a, b, _ in figures)
