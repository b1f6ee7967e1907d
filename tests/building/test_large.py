"""Building without memory: fake parameters, and laws that agree with the real initialisation."""

import math
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from gradlint.building import BuiltModel, feed, law_of, parameter_infos
from gradlint.core.errors import AnalysisError
from gradlint.core.target import InputSpec, Target
from gradlint.worker.analysis import examine

Built = Callable[..., BuiltModel]

INITIALISERS = """
class Net(nn.Module):
    def __init__(self, n=384):
        super().__init__()
        self.uniform = nn.Linear(n, n)
        self.normal = nn.Embedding(n, n, padding_idx=0)
        self.xavier = nn.Parameter(nn.init.xavier_uniform_(torch.empty(n, n)))
        self.xavier_normal = nn.Parameter(nn.init.xavier_normal_(torch.empty(n, n), gain=2.0))
        self.kaiming = nn.Parameter(nn.init.kaiming_normal_(torch.empty(n, n), nonlinearity="relu"))
        self.orthogonal = nn.Parameter(nn.init.orthogonal_(torch.empty(n, 2 * n), gain=1.5))
        self.tall = nn.Parameter(nn.init.orthogonal_(torch.empty(2 * n, n)))
        self.truncated = nn.Parameter(nn.init.trunc_normal_(torch.empty(n, n), std=0.02))
        self.tight = nn.Parameter(nn.init.trunc_normal_(torch.empty(n, n), mean=0.1, std=1.0, a=0.0, b=0.5))
        self.sparse = nn.Parameter(nn.init.sparse_(torch.empty(n, n), 0.25, std=0.1))
        self.scaled = nn.Parameter(0.1 * torch.randn(n, n))
        self.shifted = nn.Parameter(torch.rand(n, n) * 2 - 0.5)
        self.constant = nn.Parameter(torch.full((n, n), 0.3))
        self.zeros = nn.Parameter(torch.zeros(n, n))
        self.data = nn.Linear(n, n)
        self.data.weight.data.normal_(mean=1.0, std=0.02)
        self.data.bias.data.zero_()
        self.halved = nn.Linear(n, n)
        with torch.no_grad():
            self.halved.weight.div_(2).clamp_(-0.01, 0.01)
        self.row = nn.Parameter(torch.randn(n, n))
        with torch.no_grad():
            self.row[: n // 2] = 0
        self.chunks = nn.LSTM(n, n)
        nn.init.constant_(self.chunks.bias_ih_l0[n : 2 * n], 1.0)
        self.copied = nn.Parameter(torch.empty(n, n))
        self.copied.data.copy_(self.kaiming.data)
        self.cosine = nn.Parameter(torch.randn(n, n))
        self.cosine.data /= self.cosine.data.norm(dim=1, keepdim=True)
        self.joined = nn.Parameter(torch.cat([torch.zeros(n, n), torch.randn(n, n)]))
        self.attention = nn.MultiheadAttention(n, 4)
        self.weight_norm = nn.utils.parametrizations.weight_norm(nn.Linear(n, n))
        self.conv = nn.Conv2d(64, 128, 3)
        self.register_buffer("mask", torch.tril(torch.ones(n, n)))
        self.register_buffer("small", torch.arange(4.0))
    def forward(self, x):
        return self.uniform(x) @ self.xavier
"""


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[BuiltModel, BuiltModel]:
    """The same model with fake and with real parameters."""
    from gradlint.building import build, load_module
    from gradlint.core.target import Target

    path = tmp_path_factory.mktemp("large") / "model.py"
    path.write_text("import torch\nimport torch.nn as nn\n" + INITIALISERS)
    target = Target(str(path), "Net", 3)
    namespace = load_module(str(path))
    return build(target, namespace, large=1), build(target, namespace)


def test_every_law_agrees_with_the_real_initialisation(pair: tuple[BuiltModel, BuiltModel]) -> None:
    fake, real = pair
    assert fake.notes == ()
    assert list(fake.values) == list(real.values)
    wrong = []
    for name, values in real.values.items():
        assert values.values is not None
        measured, law = law_of(values), law_of(fake.values[name])
        size = math.prod(values.shape)
        tolerance = 0.02 + 3 / math.sqrt(size)  # the real draw scatters too
        scale = max(measured.std, abs(measured.mean), 1e-12)
        if abs(law.std - measured.std) > tolerance * scale or abs(law.mean - measured.mean) > tolerance * scale:
            wrong.append((name, law, measured))
    assert wrong == []


def test_kinds_are_those_of_the_last_initialisation(pair: tuple[BuiltModel, BuiltModel]) -> None:
    kinds = {name: info.law.kind for name, info in parameter_infos(pair[0], None, (), ()).items()}
    assert kinds["uniform.weight"] == "uniform"
    assert kinds["kaiming"] == kinds["scaled"] == kinds["data.weight"] == "normal"
    assert kinds["truncated"] == "trunc_normal"
    assert kinds["zeros"] == kinds["data.bias"] == "zeros"
    assert kinds["constant"] == "constant"


def test_equal_rows(pair: tuple[BuiltModel, BuiltModel]) -> None:
    for built in pair:
        equal = {name for name, info in parameter_infos(built, None, (), ()).items() if info.law.equal_rows}
        assert {"constant", "zeros"} <= equal
        assert not equal & {"uniform.weight", "xavier", "row", "copied"}


def test_everything_is_fake_and_has_its_place(pair: tuple[BuiltModel, BuiltModel]) -> None:
    fake, real = pair
    assert all(isinstance(tensor.data, FakeTensor) for tensor in fake.model.parameters())
    assert all(isinstance(tensor, FakeTensor) for tensor in fake.model.buffers())
    assert fake.parameter_sites == real.parameter_sites
    assert {path: info.sites for path, info in fake.modules.items()} == {p: i.sites for p, i in real.modules.items()}
    assert fake.values["small"].values is not None
    assert fake.values["uniform.weight"].values is None


def test_inputs_are_found_under_the_fake_mode(pair: tuple[BuiltModel, BuiltModel]) -> None:
    fed = feed(pair[0])
    assert fed.described == "(32, 8, 384) float32"
    assert isinstance(fed.args[0], FakeTensor)
    assert fed.args[0].fake_mode is pair[0].fake_mode


def test_nothing_is_allocated(built: Built) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = built("def make():\n    return nn.Sequential(*[nn.Linear(16384, 16384) for _ in range(40)])\n")
    feed(found)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert sum(p.numel() for p in found.model.parameters()) > 10**10
    assert grown < 300  # MiB; the parameters would take 40 GiB


def test_the_threshold_counts_elements_not_layers(built: Built) -> None:
    text = "def make():\n    return nn.Sequential(nn.Linear(100, 100), nn.Linear(100, 100))\n"
    assert built(text, large=20_200).fake_mode is None
    assert built(text, large=20_199).fake_mode is not None


def test_legacy_tensor_constructors_are_counted(built: Built) -> None:
    text = """
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.Tensor(100, 100).uniform_(-1, 1))
        def forward(self, x): return x @ self.w
    """
    assert built(text, large=9_999).fake_mode is not None
    assert built(text, large=10_000).fake_mode is None


def test_a_constructor_that_swallows_everything_is_still_built_without_memory(built: Built) -> None:
    found = built(
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                try:
                    self.a = nn.Linear(1000, 1000)
                except BaseException:
                    raise RuntimeError("could not")
            def forward(self, x): return self.a(x)
        """,
        large=1000,
    )
    assert found.fake_mode is not None


def test_shared_parameters_stay_shared(built: Built) -> None:
    found = built(
        """
        class LM(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed = nn.Embedding(100, 64)
                self.head = nn.Linear(64, 100, bias=False)
                self.head.weight = self.embed.weight
            def forward(self, ids): return self.head(self.embed(ids))
        """,
        large=1000,
    )
    assert found.model.head.weight is found.model.embed.weight
    assert list(found.values) == ["embed.weight"]
    assert parameter_infos(found, None, (), ())["embed.weight"].aliases == ("head.weight",)


def test_small_reads_in_constructors_work(built: Built) -> None:
    found = built(
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                rates = [rate.item() for rate in torch.linspace(0, 0.2, 3)]
                self.layers = nn.ModuleList([nn.Sequential(nn.Linear(100, 100), nn.Dropout(p)) for p in rates])
            def forward(self, x):
                for layer in self.layers:
                    x = layer(x)
                return x
        """,
        large=1000,
    )
    assert found.modules["layers.2.1"].attributes["p"] == pytest.approx(0.2)


def test_an_initialisation_that_cannot_be_followed_is_named(built: Built) -> None:
    found = built(
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.w = nn.Parameter(torch.linalg.inv(torch.randn(64, 64)))
            def forward(self, x): return x @ self.w
        """,
        large=1000,
    )
    (note,) = found.notes
    assert note.startswith("initial law not known, variance 1/fan-in assumed: w")
    assert "linalg_inv" in note
    assert found.values["w"].sample.std().item() == pytest.approx(1 / 8, rel=0.01)


def test_a_module_level_model_that_turns_out_to_be_large(built: Built) -> None:
    found = built(
        """
        layers = []
        for _ in range(6):
            layers.append(nn.Linear(100, 100))
        model = nn.Sequential(*layers)
        """,
        large=25_000,
    )
    assert found.fake_mode is not None
    assert len(found.model) == 6
    assert [place.line for place in found.modules["5"].sites] == [6]


READS_ITSELF = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(200, 200)
        if self.a.weight.abs().max() > 0:
            self.a.weight.data.div_(self.a.weight.abs().max().item())
    def forward(self, x): return self.a(x)
"""


def test_a_constructor_that_reads_large_tensors_is_built_with_real_ones(built: Built) -> None:
    found = built(READS_ITSELF, large=1000)
    assert found.fake_mode is None
    assert found.notes == ("built with real tensors: its constructor reads the values of large ones",)
    assert found.values["a.weight"].values.abs().max() == 1


def test_a_large_constructor_that_fails_by_itself_says_so(built: Built) -> None:
    with pytest.raises(AnalysisError, match="ValueError: mine") as caught:
        built(READS_ITSELF.replace("        if self", "        raise ValueError('mine')\n        if self"), large=1000)
    assert caught.value.location is not None
    assert caught.value.location.line == 8


def test_torch_is_left_as_found(built: Built) -> None:
    before = torch.nn.init._no_grad_trunc_normal_, torch.nn.init.sparse_
    built("def make():\n    return nn.Linear(100, 100)\n", large=1000)
    assert (torch.nn.init._no_grad_trunc_normal_, torch.nn.init.sparse_) == before


def test_experts_are_fed_without_values(built: Callable[..., BuiltModel]) -> None:
    found = built(
        """
        class Experts(nn.Module):
            def __init__(self):
                super().__init__()
                self.inp = nn.Linear(64, 64)
                self.weight = nn.Parameter(torch.randn(4, 64, 96))
            def forward(self, x):
                offsets = torch.tensor([1, 2, 4, 8], dtype=torch.int32)
                return F.grouped_mm(self.inp(x), self.weight, offs=offsets)
        """,
        large=0,
    )
    assert found.fake_mode is not None
    assert feed(found).described == "(8, 64) float32"


DROPPING = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(8, 8) for _ in range(3))
        self.mix = nn.utils.parametrizations.weight_norm(nn.Conv1d(8, 8, 3, padding=1))

    def forward(self, x):
        for layer in self.layers:
            if not torch.rand([]) < 0.1:  # LayerDrop
                x = layer(x)
        if torch.isfinite(x).all():
            x = self.mix(x.transpose(1, 2))
        return x
"""


def test_what_is_drawn_decides_as_usual_where_it_has_no_value(tmp_path: Path) -> None:
    """No layer is dropped and the check holds, in the search for inputs as in the recorded pass."""
    from gradlint.building import build, feed, load_module
    from gradlint.core.target import Target
    from gradlint.propagation import propagate
    from gradlint.tracing import trace

    path = tmp_path / "model.py"
    path.write_text("import torch\nimport torch.nn as nn\n" + DROPPING)
    built = build(Target(str(path), "Net", 3), load_module(str(path)), large=1)
    flow = propagate(trace(built, feed(built)), built.values)
    assert not flow.unknown
    assert set(flow.modules()) >= {"layers.0", "layers.1", "layers.2", "mix"}
    assert all(figures.gradient_rms for figures in flow.parameters().values())


TAKES_TOO_MUCH = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(16, 16)

    def forward(self, x):
        pairs = self.a(x).repeat(1 << 42, 1)
        return pairs.mean(0)
"""


@pytest.mark.parametrize("ends", ["", "        torch.zeros(len(pairs.sum(0).nonzero().tolist()))\n"])
def test_a_forward_too_large_for_memory_is_traced_without(tmp_path: Path, ends: str) -> None:
    path = tmp_path / "model.py"
    source = TAKES_TOO_MUCH.replace("        return", f"{ends}        return")
    path.write_text(source)
    target = Target(str(path), "Net", 5, inputs=(InputSpec((8, 16)),))
    if ends:  # it depends on values: the memory is what its user hears of
        with pytest.raises(AnalysisError, match="can't allocate memory"):
            examine(target, source, on_stage=lambda name: None)
        return
    found = examine(target, source, on_stage=lambda name: None)
    assert found.built.fake_mode is not None
    assert "built without memory: a forward pass with real tensors takes more of it than there is" in found.built.notes
    assert set(found.flow.parameter_flows) == {"a.weight", "a.bias"}
