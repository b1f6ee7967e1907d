"""The base class of Lightning's modules where Lightning is not installed: what building and running one takes of it."""

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn


class _Hyperparameters(dict[str, Any]):
    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class _Idle:
    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None


class LightningModule(nn.Module):
    """An `nn.Module` with hyperparameters, which logs to nobody."""

    def save_hyperparameters(self, *given: Any, ignore: Any = (), **_: Any) -> None:
        """Keep the constructor's arguments: all of them, those that are named, or the one mapping that is given."""
        own = {k: v for k, v in sys._getframe(1).f_locals.items() if k not in ("self", "__class__")}
        names = [name for name in given if isinstance(name, str)]
        ignored = [ignore] if isinstance(ignore, str) else list(ignore or ())
        values = {name: value for name, value in own.items() if name not in ignored and (not names or name in names)}
        for mapping in given:
            if isinstance(mapping, Namespace | Mapping):
                values = dict(vars(mapping) if isinstance(mapping, Namespace) else mapping)
        self.__dict__["hparams"] = _Hyperparameters(values)

    def log(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    log_dict = print = log
    manual_backward = toggle_optimizer = untoggle_optimizer = clip_gradients = log

    def optimizers(self) -> "_Idle":
        """What does nothing, whatever it is told: a training step that steps itself can be run."""
        return _Idle()

    lr_schedulers = optimizers

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))
