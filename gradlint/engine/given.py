"""Example inputs as a caller gives them, made fit to be run."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gradlint.core.errors import AnalysisError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from gradlint.building.built import Fed


def fed_with(model: "nn.Module", example_inputs: Any, kwargs: Mapping[str, Any], *, as_given: bool = False) -> "Fed":
    """Positional and keyword arguments of the forward.

    Tensors without values (on the meta device) get some, for shapes are what counts; those made under
    `torch.inference_mode()`, which no backward pass may use, are copied.

    Args:
        model: whose device tensors without values are put on.
        example_inputs: a tensor, a tuple of positional arguments, or a dictionary of keyword arguments.
        kwargs: further keyword arguments.
        as_given: values count: tensors that have none are refused.

    Raises:
        AnalysisError: a tensor without values where they count.
        TypeError: keyword arguments whose names are no strings.
    """
    from torch.utils._pytree import tree_any, tree_map

    from gradlint.building.built import Fed
    from gradlint.worker.analysis import describe_inputs

    for named in (kwargs, example_inputs if isinstance(example_inputs, Mapping) else {}):
        _require_names(named)
    if isinstance(example_inputs, Mapping):
        args: tuple[Any, ...] = ()
        kwargs = {**example_inputs, **kwargs}
    else:
        args = tuple(example_inputs) if isinstance(example_inputs, tuple | list) else (example_inputs,)
    if tree_any(_is_unusable, (args, dict(kwargs))):
        made: dict[int, torch.Tensor] = {}
        args, kwargs = tree_map(lambda leaf: _usable(leaf, model, made, as_given=as_given), (args, dict(kwargs)))
    return Fed(args, dict(kwargs), described=describe_inputs(args, kwargs), source="given")


def _is_unusable(leaf: Any) -> bool:
    import torch

    return isinstance(leaf, torch.Tensor) and (leaf.is_meta or leaf.is_inference())


def _usable(leaf: Any, model: "nn.Module", made: dict[int, "torch.Tensor"], *, as_given: bool) -> Any:
    """A leaf of the inputs; the same tensor twice stays the same tensor."""
    if not _is_unusable(leaf):
        return leaf
    if leaf.is_meta and as_given:
        reason = f"an input of shape {tuple(leaf.shape)} has no values: it is on the meta device"
        raise AnalysisError(reason, stage="feed", remedy="give one with values, or predict with `gradlint.flow`")
    if id(leaf) not in made:
        made[id(leaf)] = _with_values(leaf, model) if leaf.is_meta else leaf.clone()
    return made[id(leaf)]


def _with_values(leaf: "torch.Tensor", model: "nn.Module") -> "torch.Tensor":
    """Normal numbers, or zeros of a type that counts."""
    import torch

    from gradlint.building.seeds import seed_for

    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    if not (leaf.is_floating_point() or leaf.is_complex()):
        return torch.zeros(leaf.shape, dtype=leaf.dtype, device=device)
    generator = torch.Generator().manual_seed(seed_for("inputs"))
    values = torch.randn(leaf.shape, generator=generator, device="cpu").to(leaf.dtype)
    return values.to(device).requires_grad_(leaf.requires_grad)


def _require_names(kwargs: object) -> None:
    """Raise TypeError where something is no dictionary of keyword arguments."""
    if not isinstance(kwargs, Mapping):
        raise TypeError(f"kwargs: expected a dictionary of keyword arguments, not {type(kwargs).__name__}")
    for name in kwargs:
        if not isinstance(name, str):
            raise TypeError(f"keyword arguments have names: {name!r} is of type {type(name).__name__}, not str")
