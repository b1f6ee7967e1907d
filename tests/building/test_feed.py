"""Finding inputs for models that nobody prepared."""

import itertools
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from gradlint.building import BuiltModel, adopt, build, feed, load_module
from gradlint.core.errors import AnalysisError
from gradlint.core.target import InputSpec, Target
from gradlint.discovery import find_targets, scan_file

Built = Callable[..., BuiltModel]
FIXTURES = sorted((Path(__file__).parent / "fixtures").glob("*.py"))


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_a_file_is_fed_as_its_head_says(path: Path) -> None:
    text = path.read_text()
    expected = dict(line.removeprefix("# ").split(": ", 1) for line in text.splitlines()[:3])
    (target,) = find_targets(scan_file(str(path), text))
    assert target.name == expected["model"]
    fed = feed(build(target, load_module(str(path))))
    assert fed.described == expected["inputs"]
    assert fed.source.startswith(expected["from"])


def test_there_are_enough_files() -> None:
    assert len(FIXTURES) >= 35


@pytest.mark.parametrize(
    ("model", "described"),
    [
        (nn.Linear(5, 2), "(8, 5) float32"),
        (nn.Linear(5, 2, dtype=torch.cfloat), "(8, 5) complex64"),
        (nn.Bilinear(5, 3, 2), "(8, 5) float32, (8, 3) float32"),
        (nn.Conv1d(2, 3, 3), "(8, 2, 64) float32"),
        (nn.Conv2d(2, 3, 3), "(8, 2, 32, 32) float32"),
        (nn.Conv3d(2, 3, 3), "(8, 2, 16, 16, 16) float32"),
        (nn.ConvTranspose2d(2, 3, 3), "(8, 2, 1, 1) float32"),
        (nn.Embedding(7, 3), "(8, 32) int64"),
        (nn.EmbeddingBag(7, 3), "(8, 32) int64"),
        (nn.RNN(4, 5), "(32, 8, 4) float32"),
        (nn.LSTM(4, 5, batch_first=True), "(8, 32, 4) float32"),
        (nn.GRUCell(4, 5), "(8, 4) float32"),
        (nn.LayerNorm(6), "(8, 6) float32"),
        (nn.LayerNorm((4, 6)), "(8, 4, 6) float32"),
        (nn.BatchNorm1d(6), "(8, 6) float32"),
        (nn.BatchNorm2d(6), "(8, 6, 32, 32) float32"),
        (nn.GroupNorm(2, 6), "(8, 6, 32, 32) float32"),
        (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), "(8, 32, 8) float32"),
        (nn.TransformerEncoderLayer(8, 2, 16), "(32, 8, 8) float32"),
        (nn.Transformer(8, 2, 1, 1, 16, batch_first=True), "(8, 32, 8) float32, (8, 32, 8) float32"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), "(8, 784) float32"),
        (nn.Sequential(nn.Conv2d(1, 4, 5), nn.Flatten(), nn.Linear(4 * 24 * 24, 3)), "(8, 1, 28, 28) float32"),
        (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 42 * 42, 3)), "(8, 3, 44, 44) float32"),
    ],
    ids=lambda value: "" if isinstance(value, str) else type(value).__name__,
)
def test_inputs_of_single_layers(model: nn.Module, described: str) -> None:
    assert feed(adopt(model)).described == described


def configured(model: nn.Module, *specs: InputSpec, **settings: int) -> BuiltModel:
    target = Target("model.py", "Net", 1, inputs=specs or None, **settings)  # type: ignore[arg-type]
    return replace(adopt(model), target=target)


def test_configured_inputs() -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor, ids: torch.Tensor, scale: float, *, flag: bool) -> torch.Tensor:
            assert scale == 2.5
            assert flag is True
            return x[ids]

    specs = (
        InputSpec((5, 3)),
        InputSpec((4,), "int64", high=5, low=1),
        InputSpec((), "literal", value=2.5),
        InputSpec((), "literal", "flag", value=True),
    )
    fed = feed(configured(Net(), *specs))
    assert fed.described == "(5, 3) float32, (4,) int64, 2.5, flag: True"
    assert fed.source == "configured"
    assert 1 <= fed.args[1].min() <= fed.args[1].max() < 5


def test_a_configured_dictionary() -> None:
    class Batched(nn.Module):
        def forward(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
            return batch["ids"].float() * batch["mask"]

    items = (InputSpec((5, 3), "int64", "ids", 4), InputSpec((5, 3), name="mask"))
    fed = feed(configured(Batched(), InputSpec((), "dict", items=items)))
    assert fed.described == "{ids: (5, 3) int64, mask: (5, 3) float32}"
    assert fed.args[0]["ids"].max() < 4


def test_configured_inputs_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(AnalysisError, match=r"forward on the configured inputs \(5, 4\) float32 failed") as caught:
        feed(configured(nn.Linear(3, 3), InputSpec((5, 4))))
    assert caught.value.stage == "feed"
    assert caught.value.remedy == "forward takes (input): correct `inputs`"


def test_an_unknown_dtype_is_an_error() -> None:
    with pytest.raises(AnalysisError, match="'float31' is no dtype"):
        feed(configured(nn.Linear(3, 3), InputSpec((5, 3), "float31")))


def test_batch_and_sequence_length_can_be_configured() -> None:
    assert feed(configured(nn.LSTM(4, 5, batch_first=True), batch=3, sequence_length=100)).described == (
        "(3, 100, 4) float32"
    )
    assert feed(configured(nn.Linear(4, 5), batch=16)).described == "(16, 4) float32"


def test_inputs_are_standard_normal_and_the_same_each_time() -> None:
    first, second = feed(adopt(nn.Conv2d(3, 3, 3))).args[0], feed(adopt(nn.Conv2d(3, 3, 3))).args[0]
    assert torch.equal(first, second)
    assert first.mean().abs() < 0.02
    assert first.std().item() == pytest.approx(1, abs=0.02)


def test_the_smallest_embedding_bounds_configured_ids() -> None:
    model = nn.Sequential(nn.Embedding(3, 2))
    assert feed(configured(model, InputSpec((4, 50), "int64"))).args[0].max() == 2


class Forgetful(nn.Module):
    """A forward that changes everything it can reach."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.weight = nn.Parameter(torch.ones(4))
        self.register_buffer("count", torch.zeros(()))
        self.calls = 0
        self.frozen = nn.Linear(4, 4).eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.count += 1
        self.latest = x
        self.extra = nn.Linear(4, 4)
        self.weight.data.mul_(2)
        random.random()
        torch.rand(1)
        torch.set_grad_enabled(True)
        return self.frozen(self.norm(x) * self.weight)


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


@pytest.mark.parametrize("fails", [False, True])
def test_a_live_model_is_left_exactly_as_found(fails: bool) -> None:
    model = Forgetful()
    if fails:
        model.frozen.register_forward_pre_hook(lambda *_: 1 / 0)
    before = state(model)
    identities = {name: id(tensor) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    versions = {name: tensor._version for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
    training = [module.training for module in model.modules()]
    random_state, torch_state, enabled = random.getstate(), torch.get_rng_state(), torch.is_grad_enabled()
    if fails:
        with pytest.raises(AnalysisError):
            feed(adopt(model))
    else:
        feed(adopt(model))
    after = [*model.named_parameters(), *model.named_buffers()]
    assert {name: id(tensor) for name, tensor in after} == identities
    assert {name: tensor._version for name, tensor in after} == versions
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert set(before) == set(model.state_dict())
    assert (model.calls, hasattr(model, "latest"), hasattr(model, "extra")) == (0, False, False)
    assert [module.training for module in model.modules()] == training
    assert random.getstate() == random_state
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert torch.is_grad_enabled() is enabled


def test_a_forward_that_never_runs_says_what_it_takes(built: Built) -> None:
    found = built(
        """
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(4, 4)
            def forward(self, graph, features):
                return self.a(graph.nodes[features["key"]])
        """
    )
    with pytest.raises(AnalysisError) as caught:
        feed(found)
    error = caught.value
    assert error.stage == "feed"
    assert error.location is not None
    assert error.location.line == 9
    assert error.location.context == "Net.forward"
    assert error.message.startswith("no input found on which Net.forward(graph, features) runs")
    assert (
        "with {nodes: (8, 4) float32}, {key: (8, 4) float32}: IndexError: tensors used as indices must be"
        in error.message
    )
    assert "\n[[tool.gradlint.targets]]\ntarget = " in error.remedy
    assert 'name = "graph"' in error.remedy


@pytest.mark.parametrize("statement", ["raise SystemExit(1)", "raise BaseException('x')", "import sys; sys.exit()"])
def test_a_forward_that_leaves_the_program_is_an_error(built: Built, statement: str) -> None:
    found = built(f"class Net(nn.Module):\n    def forward(self, x):\n        {statement}\n")
    with pytest.raises(AnalysisError):
        feed(found)


def test_a_model_without_a_forward_is_said_to_have_none() -> None:
    class Trained(nn.Module):
        def training_step(self, x: torch.Tensor) -> torch.Tensor:
            return x

    with pytest.raises(AnalysisError, match=r"^Trained has no forward of its own"):
        feed(adopt(Trained()))


def test_the_width_of_inputs_that_are_split_is_found(built: Built) -> None:
    found = built(
        """
        class Field(nn.Module):
            def __init__(self):
                super().__init__()
                self.points = nn.Linear(63, 16)
                self.views = nn.Linear(16 + 27, 3)
            def forward(self, x):
                points, views = torch.split(x, [63, 27], dim=-1)
                return self.views(torch.cat([self.points(points), views], -1))
        """
    )
    assert feed(found).described == "(8, 90) float32"


def test_the_two_sides_of_a_pair_are_resized_together(built: Built) -> None:
    found = built(
        """
        class Pair(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv = nn.Conv2d(1, 4, 3, padding=1)
                self.fc = nn.Linear(4 * 50 * 50, 5)
            def once(self, x):
                return self.fc(self.conv(x).flatten(1))
            def forward(self, left, right):
                return self.once(left), self.once(right)
        """
    )
    assert feed(found).described == "(8, 1, 50, 50) float32, (8, 1, 50, 50) float32"


def test_inputs_have_nothing_to_do_with_the_weights() -> None:
    torch.manual_seed(0)  # as most scripts do
    layer = nn.Linear(784, 32)
    (x,) = feed(adopt(layer)).args
    pair = torch.stack([x.flatten(), layer.weight.detach()[: len(x)].flatten()])
    assert torch.corrcoef(pair)[0, 1].abs() < 0.05


def test_a_keyboard_interrupt_in_a_forward_goes_through(built: Built) -> None:
    found = built("class Net(nn.Module):\n    def forward(self, x):\n        raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        feed(found)


def test_a_harvested_input_that_does_not_fit_is_changed_as_little_as_need_be() -> None:
    built = configured(nn.Linear(3, 3), InputSpec((5, 4)))
    assert built.target is not None
    wrong = replace(built, target=replace(built.target, inputs_from="as in model.py:9"))
    fed = feed(wrong)
    assert fed.described == "(5, 3) float32"
    assert fed.source == "as in model.py:9, changed until the forward ran"


def test_a_harvested_input_that_was_mended_is_said_to_be() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(75, 3))
    built = configured(model, InputSpec((8, 3, 4, 4)))
    assert built.target is not None
    told = feed(replace(built, target=replace(built.target, inputs_from="as in model.py:9")))
    assert told.described == "(8, 3, 5, 5) float32"
    assert told.source == "as in model.py:9, changed until the forward ran"


@pytest.mark.parametrize(("clock", "is_fed"), [("monotonic", True), ("thread_time", False)])
def test_the_search_is_limited_by_its_own_cpu_time_not_by_the_clock(
    monkeypatch: pytest.MonkeyPatch, clock: str, is_fed: bool
) -> None:
    hours = itertools.count(step=3600.0)
    monkeypatch.setattr(time, clock, lambda: next(hours))
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 42 * 42, 3))  # takes several trials
    if is_fed:
        assert feed(adopt(model)).described == "(8, 3, 44, 44) float32"
    else:
        with pytest.raises(AnalysisError, match="no input found"):
            feed(adopt(model))


def test_hooks_of_other_modules_are_not_left_behind() -> None:
    from torch.nn.modules import module

    feed(adopt(nn.Linear(2, 2)))
    assert not module._global_forward_hooks
    assert not module._global_forward_pre_hooks


class Config:
    def __init__(self, **values: object) -> None:
        self.__dict__.update(values)


class Announcing(nn.Module):
    """A model in the manner of transformers: everything optional, sizes in a configuration."""

    def __init__(self, main_input_name: str, **config: object) -> None:
        super().__init__()
        self.main_input_name = main_input_name
        self.config = Config(**config)
        self.layer = nn.Linear(1, 1)

    def forward(self, **inputs: torch.Tensor | None) -> torch.Tensor:
        assert set(inputs) == {self.main_input_name} | set(self.further())
        return next(value for value in inputs.values() if value is not None).float()

    def further(self) -> list[str]:
        if getattr(self.config, "text_config", None) is not None:
            return ["input_ids"]
        return ["decoder_input_ids"] if getattr(self.config, "is_encoder_decoder", False) else []


@pytest.mark.parametrize(
    ("model", "described"),
    [
        (Announcing("input_ids", vocab_size=9, max_position_embeddings=512), "input_ids: (8, 64) int64"),
        (Announcing("input_ids", vocab_size=9, n_positions=16), "input_ids: (8, 16) int64"),
        (
            Announcing("input_ids", vocab_size=9, is_encoder_decoder=True),
            "input_ids: (8, 32) int64, decoder_input_ids: (8, 32) int64",
        ),
        (Announcing("pixel_values", image_size=48, num_channels=1), "pixel_values: (8, 1, 48, 48) float32"),
        (Announcing("pixel_values", image_size=(32, 64)), "pixel_values: (8, 3, 32, 64) float32"),
        (Announcing("input_values"), "input_values: (8, 16000) float32"),
        (Announcing("input_values", num_mel_bins=4, max_length=20), "input_values: (8, 20, 4) float32"),
        (
            Announcing("input_features", num_mel_bins=4, max_source_positions=30),
            "input_features: (8, 4, 60) float32",
        ),
        (
            Announcing("pixel_values", vision_config=Config(image_size=16), text_config=Config(vocab_size=5)),
            "pixel_values: (8, 3, 16, 16) float32, input_ids: (8, 32) int64",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_inputs_that_a_configuration_announces(model: nn.Module, described: str) -> None:
    fed = feed(adopt(model))
    assert (fed.described, fed.source) == (described, "Config")
    ids = fed.kwargs.get("input_ids")
    assert ids is None or ids.max() < 9


class Broken(nn.Module):
    """Adds a table of positions whose length only an error tells."""

    def __init__(self, length: int, prefix: int = 0, patch: int | None = None) -> None:
        super().__init__()
        self.stem = nn.Linear(4, 4) if patch is None else nn.Conv2d(3, 4, patch, stride=patch)
        self.table = nn.Parameter(torch.zeros(1, length, 4))
        self.prefix = prefix
        self.attention = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        if x.dim() == 4:
            x = x.flatten(2).transpose(1, 2)
        x = torch.cat([x[:, :1]] * self.prefix + [x], 1)
        return x + self.table


@pytest.mark.parametrize(
    ("model", "described"),
    [
        (Broken(49, patch=4), "(8, 3, 28, 28) float32"),
        (Broken(37 * 37, patch=2), "(8, 3, 74, 74) float32"),
        (Broken(13 * 13 + 1, prefix=1, patch=2), "(8, 3, 26, 26) float32"),
        (Broken(9 * 9 + 2, prefix=2, patch=4), "(8, 3, 36, 36) float32"),
        (Broken(21), "(8, 21, 4) float32"),
    ],
)
def test_the_length_of_a_position_table_is_read_from_the_error(model: nn.Module, described: str) -> None:
    assert feed(adopt(model)).described == described


@pytest.mark.parametrize(
    ("name", "described"),
    [("image", "(8, 3, 64, 64) float32"), ("video", "(8, 3, 8, 64, 64) float32"), ("x", "(8, 12) float32")],
)
def test_the_name_of_an_argument_tells_its_dimensions(built: Built, name: str, described: str) -> None:
    check = {"image": "x.dim() == 4 and x.shape[-1] > 2", "video": "x.dim() == 5", "x": "True"}[name]
    found = built(
        f"""
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.a = nn.Linear(12, 4)
            def forward(self, {name}):
                x = {name}
                assert {check}
                return self.a(x.reshape(len(x), -1)[:, :12])
        """
    )
    assert feed(found).described == described
