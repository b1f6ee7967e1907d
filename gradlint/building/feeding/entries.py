"""Models without a forward: what is run instead. A training step, another method that computes, or their largest part.

What a training step computes is followed up to its losses: what it hands to them is taken for the model's outputs.
"""

import ast
import functools
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from gradlint.building.feeding.forward_source import function_tree
from gradlint.discovery.entering import ENTRIES, STEPS, called_names, is_placeholder, others, runs_own_parts

_LOSSES = frozenset(
    [
        *("cross_entropy", "cross_entropy_loss", "nll_loss", "nll_loss_nd", "ctc_loss", "kl_div"),
        *("binary_cross_entropy", "binary_cross_entropy_with_logits", "soft_margin_loss", "hinge_embedding_loss"),
        *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "gaussian_nll_loss", "poisson_nll_loss"),
        *("multi_margin_loss", "multilabel_margin_loss", "multilabel_soft_margin_loss"),
    ]
)
"""Functions of torch, under the names that they have in Python and in C++."""
_COUNTED = ("batch_idx", "batch_index", "batch_nb", "optimizer_idx", "dataloader_idx")
"""Arguments of a training step that number something."""

Forward = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A way to run a model that has no forward."""

    name: str
    """As in "its training_step"."""
    forward: Forward
    """Takes the model first."""
    is_whole: bool
    """Whether it runs all that is trained: then a parameter that it leaves out is never trained."""


def is_unwritten(model: nn.Module) -> bool:
    """Whether a model's forward is nobody's: torch's own, which raises, that of Lightning, which calls it, or one that
    only says that others must define it.
    """
    forward = getattr(type(model), "forward", None)
    home = getattr(forward, "__module__", "").partition(".")[0]
    nobody = forward is nn.Module.forward or home in ("lightning", "pytorch_lightning")
    if not nobody and home != "torch":
        tree = function_tree(type(model), "forward")
        nobody = tree is not None and is_placeholder(tree)
    return nobody and "forward" not in vars(model)


def entries(model: nn.Module) -> Iterator[Entry]:
    """Methods of the user's that run something of the model, likeliest first."""
    decode = getattr(type(model), "decode", None)
    for name in ENTRIES:
        method = getattr(type(model), name, None)
        if not inspect.isfunction(method):
            continue
        tree = function_tree(type(model), name)
        if tree is None or not runs_own_parts(tree):
            continue
        if name == "encode" and inspect.isfunction(decode):
            yield Entry("its encode and decode", _there_and_back(method, decode), is_whole=False)
        yield Entry(f"its {name}", _up_to_losses(method), is_whole=name in STEPS)
    for name in others(_methods(type(model)), _called_in_file(type(model))):
        yield Entry(f"its {name}", _up_to_losses(getattr(type(model), name)), is_whole=False)


def _called_in_file(owner: type) -> frozenset[str]:
    """What is called in the file that defines a class, but for what objects call of themselves."""
    module = inspect.getmodule(owner)
    try:
        return called_names(ast.parse(inspect.getsource(module))) if module is not None else frozenset()
    except (OSError, TypeError, SyntaxError):  # defined nowhere, as in an interactive session
        return frozenset()


def _methods(owner: type) -> list[ast.FunctionDef]:
    """Methods that a class and its bases below `nn.Module` define, as far as there is source."""
    names = (name for base in owner.__mro__ if not base.__module__.startswith("torch.") for name in vars(base))
    functions = (name for name in dict.fromkeys(names) if inspect.isfunction(getattr(owner, name, None)))
    return [tree for name in functions if (tree := function_tree(owner, name)) is not None]


def parts(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Children that have a forward and parameters of their own, the largest first."""
    sizes = {name: sum(p.numel() for p in child.parameters()) for name, child in model.named_children()}
    running = [(name, child) for name, child in model.named_children() if sizes[name] and not is_unwritten(child)]
    return sorted(running, key=lambda item: -sizes[item[0]])


def part_entry(name: str, part: nn.Module) -> Entry:
    """A model that is run as its part alone."""

    @functools.wraps(type(part).forward)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return self.get_submodule(name)(*args, **kwargs)

    return Entry(f"its part {name}", forward, is_whole=False)


def enter(model: nn.Module, entry: Entry) -> None:
    """Give a model a forward, by a class of its own that differs in nothing else."""
    owner = type(model)
    members = {"forward": entry.forward, "__module__": owner.__module__, "__qualname__": owner.__qualname__}
    model.__class__ = type(owner.__name__, (owner,), members)


def leave(model: nn.Module) -> None:
    """Undo `enter`."""
    model.__class__ = type(model).__mro__[1]


def _up_to_losses(method: Forward) -> Forward:
    """A method whose results are what it hands to losses; its own, where it applies none."""

    @functools.wraps(method)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with _Judged() as judged:
            result = method(self, *args, **kwargs, **numbers)
        return tuple(judged.predictions) or _followed(result)

    parameters = list(inspect.signature(method).parameters.values())
    required = [p.name for p in parameters if p.default is p.empty]
    numbers = {name: 0 for name in _COUNTED if name in required}
    kept = [parameter for parameter in parameters if parameter.name not in numbers]
    forward.__signature__ = inspect.Signature(kept)  # type: ignore[attr-defined]
    return forward


def _there_and_back(encode: Forward, decode: Forward) -> Forward:
    @functools.wraps(encode)
    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        code = encode(self, *args, **kwargs)
        first = code[0] if isinstance(code, tuple | list) else code  # (mean, log-variance), (quantised, loss)
        return decode(self, first)

    return forward


class _Judged(TorchFunctionMode):
    """Notes what losses are applied to; of none is anything computed, so no targets need to fit."""

    def __init__(self) -> None:
        super().__init__()
        self.predictions: list[torch.Tensor] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """A loss is the number 1, which depends on nothing."""
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") not in _LOSSES:
            return func(*args, **kwargs)
        prediction = args[0] if args else kwargs["input"]
        self.predictions.append(prediction)
        return torch.ones((), device=prediction.device)


def _followed(result: Any) -> Any:
    """What a training step gives: the loss alone, where it gives a dictionary of figures to log as well."""
    if not any(isinstance(leaf, torch.Tensor) and leaf.is_floating_point() for leaf in tree_leaves(result)):
        raise TypeError("it gives nothing back that a gradient could come from")
    return result["loss"] if isinstance(result, dict) and "loss" in result else result
