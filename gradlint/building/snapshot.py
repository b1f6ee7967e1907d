"""Run a model's forward without leaving a trace in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from gradlint.building.describe import element_count
from gradlint.building.holdings import Holdings
from gradlint.building.seeds import seed_for
from gradlint.building.surroundings import module_class_kept, seeded

_COPIED_BELOW = 30_000_000
"""Parameters are copied too below this number of elements: a forward may write to them."""


@contextmanager
def undisturbed(model: nn.Module, *, training: bool | None = None) -> Iterator[None]:
    """Put back everything that a forward may change: buffers, attributes, training flags, random state, grad mode.

    Inside the block the model works on copies of its buffers (and of its parameters, where they are few), so that the
    original tensors are never written to.
    """
    saved = [(module, dict(module.__dict__), _tables(module)) for module in model.modules()]
    holdings = Holdings(model.modules(), tables=False)
    enabled = torch.is_grad_enabled()
    with seeded(seed_for("forward")), module_class_kept():
        try:
            _substitute(model)
            if training is not None:
                model.train(training)
            yield
        finally:
            torch.set_grad_enabled(enabled)
            for module, attributes, tables in saved:
                module.__dict__.clear()
                module.__dict__.update(attributes)
                for name, table in tables.items():
                    module.__dict__[name].clear()
                    module.__dict__[name].update(table)
            holdings.restore()


_TABLES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set")


def _tables(module: nn.Module) -> dict[str, Any]:
    return {name: module.__dict__[name].copy() for name in _TABLES if name in module.__dict__}


def _substitute(model: nn.Module) -> None:
    copies: dict[int, torch.Tensor] = {}
    with_parameters = element_count(model) <= _COPIED_BELOW
    for module in model.modules():
        tables: list[dict[str, Any]] = [module._buffers]
        if with_parameters:
            tables.append(module._parameters)
        for table in tables:
            for name, tensor in table.items():
                if tensor is None:
                    continue
                if id(tensor) not in copies:
                    copies[id(tensor)] = _copy(tensor)
                table[name] = copies[id(tensor)]


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    if type(tensor).__name__.startswith("Uninitialized"):
        return tensor
    copied = tensor.detach().clone()
    return nn.Parameter(copied, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else copied
