"""`from_pretrained` without a network: stand-ins with transformers' names, since the suite does without the package."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from torch import nn

from gradlint.building.hub import without_checkpoints
from gradlint.worker.environment import scrubbed


class BertConfig:
    """A configuration with its defaults."""

    def __init__(self, hidden_size: int = 768) -> None:
        self.hidden_size = hidden_size


class PreTrainedModel(nn.Module):
    """What every model of transformers derives from."""

    config_class: Any = None

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    def from_pretrained(cls, name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "here":
            return cls(BertConfig(5))
        raise OSError(f"couldn't connect to load {name}")


class BertModel(PreTrainedModel):
    """One of them."""

    config_class = BertConfig


class AutoConfig:
    """Finds configurations by name."""

    @classmethod
    def from_pretrained(cls, name: str, **kwargs: Any) -> Any:
        raise OSError(f"couldn't connect to load {name}")

    @classmethod
    def for_model(cls, kind: str) -> Any:
        return (kind, BertConfig())


@pytest.fixture
def transformers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The two modules that are answered for, with two kinds of models."""
    modeling, auto = (
        ModuleType("transformers.modeling_utils"),
        ModuleType("transformers.models.auto.configuration_auto"),
    )
    vars(modeling).update(PreTrainedModel=PreTrainedModel)
    vars(auto).update(AutoConfig=AutoConfig, CONFIG_MAPPING_NAMES={"bert": "", "distilbert": "", "xlm-roberta": ""})
    monkeypatch.setitem(sys.modules, modeling.__name__, modeling)
    monkeypatch.setitem(sys.modules, auto.__name__, auto)
    yield


@pytest.mark.usefixtures("transformers")
def test_a_checkpoint_that_is_not_here_gives_the_default_configuration() -> None:
    asked: list[str] = []
    with without_checkpoints(asked):
        model = BertModel.from_pretrained("bert-base-cased")
        given = BertModel.from_pretrained("bert-base-cased", config=BertConfig(12))
    assert isinstance(model, BertModel)
    assert (model.config.hidden_size, given.config.hidden_size) == (768, 12)
    assert asked == ["bert-base-cased"] * 2


@pytest.mark.usefixtures("transformers")
def test_a_checkpoint_that_is_here_is_loaded() -> None:
    asked: list[str] = []
    with without_checkpoints(asked):
        model = BertModel.from_pretrained("here")
    assert model.config.hidden_size == 5
    assert not asked


@pytest.mark.usefixtures("transformers")
@pytest.mark.parametrize(
    ("name", "kind"),
    [("distilbert-base", "distilbert"), ("org/my_bert", "bert"), ("FacebookAI/xlm-roberta-large", "xlm-roberta")],
)
def test_the_name_tells_the_kind(name: str, kind: str) -> None:
    asked: list[str] = []
    with without_checkpoints(asked):
        config = AutoConfig.from_pretrained(name)
    assert config[0] == kind
    assert asked == [name]


@pytest.mark.usefixtures("transformers")
def test_a_name_that_tells_no_kind_fails_as_before() -> None:
    with without_checkpoints([]), pytest.raises(OSError, match="couldn't connect"):
        AutoConfig.from_pretrained("someone/something")


@pytest.mark.usefixtures("transformers")
def test_everything_is_put_back() -> None:
    before = vars(PreTrainedModel)["from_pretrained"], vars(AutoConfig)["from_pretrained"]
    with pytest.raises(ZeroDivisionError), without_checkpoints([]):
        raise ZeroDivisionError
    assert (vars(PreTrainedModel)["from_pretrained"], vars(AutoConfig)["from_pretrained"]) == before


def test_the_worker_fetches_nothing() -> None:
    assert scrubbed({"HF_HUB_OFFLINE": "0"})["HF_HUB_OFFLINE"] == "1"
