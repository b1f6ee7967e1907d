"""From input specifications to tensors, real or fake, and to words."""

from collections.abc import Sequence
from typing import Any

import torch

from gradlint.building.built import REAL_VALUES, BuiltModel
from gradlint.building.feeding.hints import Hints
from gradlint.building.feeding.structured import Bag
from gradlint.building.seeds import seed_for
from gradlint.core.errors import AnalysisError
from gradlint.core.target import InputSpec


def make(specs: Sequence[InputSpec], built: BuiltModel, hints: Hints) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments: N(0, 1) for floating inputs, uniform integers below `high`."""
    generator = torch.Generator().manual_seed(seed_for("inputs"))
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for spec in specs:
        value = _fresh(_value(spec, hints, generator), built)
        if spec.name:
            kwargs[spec.name] = value
        else:
            args.append(value)
    return tuple(args), kwargs


def held(specs: Sequence[InputSpec], args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Inputs whose values the file computes; where it computes all of them, the first one is data all the same."""
    positional = iter(args)
    given = [kwargs[spec.name] if spec.name else next(positional) for spec in specs]
    computed = [
        value
        for spec, value in zip(specs, given, strict=True)
        if isinstance(spec.value, torch.Tensor) and value.dtype.is_floating_point
    ]
    drawn = any(spec.dtype != "literal" for spec in specs)
    return tuple(computed if drawn else computed[1:])


def _value(spec: InputSpec, hints: Hints, generator: torch.Generator) -> Any:
    if spec.dtype == "literal":
        return spec.value
    if spec.dtype in ("dict", "object"):
        entries = {item.name: _value(item, hints, generator) for item in spec.items}
        return Bag(entries) if spec.dtype == "object" else entries
    if spec.dtype in ("list", "tuple"):
        parts = [_value(item, hints, generator) for item in spec.items]
        return parts if spec.dtype == "list" else tuple(parts)
    return tensor(spec, hints, generator)


def _fresh(value: Any, built: BuiltModel) -> Any:
    """A copy of every tensor in a value, fake where the model is: a forward may write to what it is given."""
    if isinstance(value, torch.Tensor):
        mode = built.fake_mode
        if mode is None:
            return value.detach().clone()
        fake = mode.from_tensor(value, static_shapes=True)
        if not value.dtype.is_floating_point:
            setattr(fake, REAL_VALUES, value)
        return fake
    if isinstance(value, dict):
        return type(value)((key, _fresh(item, built)) for key, item in value.items())
    if type(value) in (list, tuple):
        return type(value)(_fresh(item, built) for item in value)
    return value


def tensor(spec: InputSpec, hints: Hints, generator: torch.Generator) -> torch.Tensor:
    """One input."""
    dtype = dtype_of(spec.dtype)
    if dtype is torch.bool:
        return torch.ones(spec.shape, dtype=dtype, device=hints.device)
    if not dtype.is_floating_point and not dtype.is_complex:
        high = spec.high if spec.high is not None else max(hints.tokens, spec.low + 1)
        return torch.randint(spec.low, max(high, spec.low + 1), spec.shape, generator=generator, dtype=dtype).to(
            hints.device
        )
    if dtype is torch.float32:  # the default: a model in another precision takes its inputs in that one
        dtype = hints.dtype
    drawn = torch.randn(spec.shape, generator=generator, dtype=torch.complex64 if dtype.is_complex else torch.float32)
    return drawn.to(hints.device, dtype)


def dtype_of(name: str) -> torch.dtype:
    """The torch dtype of a name such as "int64" or "torch.long"."""
    dtype = getattr(torch, name.removeprefix("torch."), None)
    if not isinstance(dtype, torch.dtype):
        raise AnalysisError(f"'{name}' is no dtype", stage="feed", remedy='dtype = "float32", or "int64" for token ids')
    return dtype


def described(args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """`(8, 3, 32, 32) float32, mask: None`."""
    parts = [_one(value) for value in args] + [f"{name}: {_one(value)}" for name, value in kwargs.items()]
    return ", ".join(parts)


def _one(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        sizes = ", ".join(str(size) for size in value.shape)
        return f"({sizes}{',' if value.dim() == 1 else ''}) {str(value.dtype).removeprefix('torch.')}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_one(item)}" for key, item in value.items()) + "}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(_one(item) for item in value)}]"
    return repr(value) if len(repr(value)) <= 40 else type(value).__name__
