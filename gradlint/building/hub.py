"""Answer `from_pretrained` of transformers where nothing may be downloaded: a model of that kind, newly initialised."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any


@contextmanager
def without_checkpoints(asked: list[str]) -> Iterator[None]:
    """Inside, a checkpoint that is not on this machine gives a model with its class's default configuration.

    Args:
        asked: is told the names of the checkpoints asked for in vain.
    """
    modeling: Any = sys.modules.get("transformers.modeling_utils")
    if modeling is None:  # nothing to answer: importing it takes seconds
        yield
        return
    auto: Any = import_module("transformers.models.auto.configuration_auto")
    holders = (modeling.PreTrainedModel, auto.AutoConfig)
    kept = [vars(holder)["from_pretrained"] for holder in holders]
    holders[0].from_pretrained = classmethod(_model(kept[0].__func__, asked))
    holders[1].from_pretrained = classmethod(_configuration(kept[1].__func__, asked))
    try:
        yield
    finally:
        for holder, original in zip(holders, kept, strict=True):
            holder.from_pretrained = original


def _model(original: Callable[..., Any], asked: list[str]) -> Callable[..., Any]:
    def from_pretrained(cls: Any, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(cls, name, *args, **kwargs)
        except OSError:
            config = kwargs.get("config") or getattr(cls, "config_class", None)
            if config is None:
                raise
            asked.append(str(name))
            return cls(config() if isinstance(config, type) else config)

    return from_pretrained


def _configuration(original: Callable[..., Any], asked: list[str]) -> Callable[..., Any]:
    def from_pretrained(cls: Any, name: Any = None, *args: Any, **kwargs: Any) -> Any:
        try:
            return original(cls, name, *args, **kwargs)
        except OSError:
            kind = _kind_of(str(name))
            if not kind:
                raise
            asked.append(str(name))
            wanted = cls.for_model(kind)
            return (wanted, {}) if kwargs.get("return_unused_kwargs") else wanted

    return from_pretrained


def _kind_of(name: str) -> str:
    """The kind of model that a checkpoint's name tells: "roberta" for "org/roberta-base"; empty where it tells none."""
    auto: Any = import_module("transformers.models.auto.configuration_auto")
    plain = name.rpartition("/")[2].lower().replace("_", "-")
    fitting = [kind for kind in auto.CONFIG_MAPPING_NAMES if kind.replace("_", "-") in plain]
    return max(fitting, key=len, default="")
