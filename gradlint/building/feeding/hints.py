"""What a model says about the size of its inputs: attributes and configuration, torch's own conventions."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from gradlint.building.built import BuiltModel
from gradlint.building.describe import is_torch
from gradlint.building.feeding.forward_source import forward_text
from gradlint.building.guessing import signature_of

BATCH = 8
SMALLEST_BATCH = 4
"""Below this, batch statistics and sample correlations say little."""
_TIME = 32
_LONGEST = 64
_LONGEST_EXACT = 1024
_TIME_NAMES = [
    "block_size",
    "context_length",
    "max_seq_len",
    "seq_len",
    "sequence_length",
    "max_len",
    "seq_length",
    "max_length",
    "n_ctx",
    "n_positions",
    "max_position_embeddings",
    "max_sequence_length",
    "window_size",
    "context_size",
    "num_steps",
]
_SIZE_NAMES = [
    "image_size",
    "img_size",
    "input_size",
    "input_resolution",
    "resolution",
    "img_dim",
    "image_resolution",
    "spatial_size",
]
_SHAPE_NAMES = (*_SIZE_NAMES, "in_size", "input_shape", "in_shape", "im_size", "image_shape", "sample_size")
"""Names of sizes that count only where another size has failed: a convolutional network takes smaller images too."""
_CONFIGURATIONS = ("config", "cfg", "hparams", "args")
_FEATURE_NAMES = ("input_size", "input_dim", "in_dim", "in_features", "n_features", "num_features", "n_inputs")
_MOST_CHANNELS = 4
_TURNING = ("transpose", "permute", "swapaxes", "swapdims", "movedim", "rearrange", ".t()", ".T", ".mT")
_SEQUENCE_CLASSES = ("Attention", "Transformer", "LSTM", "GRU", "RNN", "Mamba", "Mixer", "Recurrent", "Seq2Seq")


@dataclass(frozen=True)
class Hints:
    """Sizes to derive inputs with."""

    batch: int
    time: int
    times: tuple[int, ...]
    """Further lengths to try."""
    image_sizes: tuple[int, ...]
    sequential: bool
    """Whether the model treats positions in a sequence: then `Linear(F)` takes (B, T, F) rather than (B, F)."""
    time_first: bool
    """Whether its layers take time first, and nothing in its own code turns that round."""
    dtype: torch.dtype
    device: torch.device
    tokens: int
    """Ids below this are valid in every embedding."""
    image_shapes: tuple[tuple[int, ...], ...] = ()
    """Heights and widths (of films frames, heights and widths) by the names of sizes: what to try where others fail."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the model was built with, by name, as far as that is literal."""
    features: int = 0
    """Width of the input that the model was built with, by an argument's name; 0 where none says it."""


def hints_of(built: BuiltModel) -> Hints:
    """Collect what is known about a model's input sizes."""
    target = built.target
    batch = (target.batch if target else None) or BATCH
    told = _arguments(built)
    said = [value for name in _TIME_NAMES for value in _attribute(built.model, name, told) if isinstance(value, int)]
    lengths = [min(value, _LONGEST) for value in said if value > 1]
    exact = [value for value in said if _LONGEST < value <= _LONGEST_EXACT]  # a layer may be as wide as time is long
    wanted = target.sequence_length if target else None
    time = wanted or (lengths[0] if lengths else _TIME)
    parameters = sorted(built.model.parameters(), key=lambda p: p.is_complex())  # real ones first, else as they come
    first = next((p for p in parameters if p.is_floating_point() or p.is_complex()), None)
    sizes = [size for name in _SIZE_NAMES for value in _attribute(built.model, name, told) for size in _squares(value)]
    embeddings = [m.num_embeddings for m in built.model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
    return Hints(
        batch=batch,
        time=time,
        times=() if wanted else tuple(dict.fromkeys([*lengths, _TIME, 8, 64, 16, *exact])),
        image_sizes=tuple(dict.fromkeys(size for size in sizes if 8 <= size <= 512)),
        sequential=_is_sequential(built.model),
        time_first=_is_time_first(built.model),
        dtype=first.dtype if first is not None else torch.get_default_dtype(),
        device=first.device if first is not None else torch.device("cpu"),
        tokens=min(embeddings, default=2),
        image_shapes=tuple(dict.fromkeys(shape for shape in _shapes(built.model, told) if min(shape) >= 8)),
        arguments=told,
        features=next((told[n] for n in _FEATURE_NAMES if type(told.get(n)) is int), 0),
    )


def _arguments(built: BuiltModel) -> dict[str, Any]:
    """What the model was built with, by name, as far as that is literal; defaults of its constructor included."""
    defaults = {p.name: p.default for p in signature_of(type(built.model)) if p.default is not p.empty}
    given = built.target.kwargs if built.target is not None else None
    return {**defaults, **(given or {})}


def told_number(model: nn.Module, hints: Hints, name: str) -> int | None:
    """A number that the model, its arguments or its configuration gives by this name, or by the end of a longer one."""
    for holder in (vars(model), hints.arguments, *(_entries(getattr(model, c, None)) for c in _CONFIGURATIONS)):
        value = holder.get(name)
        if type(value) is int and value > 0:
            return value
        longer = {v for n, v in holder.items() if "_" in name and n.endswith(f"_{name}") and type(v) is int and v > 0}
        if len(longer) == 1:
            return longer.pop()
    return None


def _entries(configuration: Any) -> Mapping[str, Any]:
    if isinstance(configuration, Mapping):
        return configuration
    return vars(configuration) if hasattr(configuration, "__dict__") else {}


def _attribute(model: nn.Module, name: str, told: dict[str, Any]) -> Iterator[Any]:
    """Values of an attribute on the model, its arguments, its configuration object and its modules, outermost first."""
    for holder in (model, told, *(getattr(model, c, None) for c in _CONFIGURATIONS)):
        value = holder.get(name) if isinstance(holder, dict) else getattr(holder, name, None)
        if value is not None:
            yield value
    for module in model.modules():
        if name in module.__dict__ and not isinstance(module, nn.RNNBase | nn.RNNCellBase):
            yield module.__dict__[name]


def _squares(value: Any) -> Iterator[int]:
    if isinstance(value, int) and not isinstance(value, bool):
        yield value
    elif isinstance(value, tuple | list) and value and all(isinstance(side, int) for side in value):
        yield value[-1]


def _shapes(model: nn.Module, told: dict[str, Any]) -> Iterator[tuple[int, ...]]:
    """Every told size as (height, width), or (frames, height, width)."""
    for name in _SHAPE_NAMES:
        for value in _attribute(model, name, told):
            sides = [value, value] if isinstance(value, int) and not isinstance(value, bool) else value
            if isinstance(sides, tuple | list) and sides and all(type(side) is int for side in sides):
                yield tuple(sides)[-3:] if min(sides) > _MOST_CHANNELS else tuple(sides)[-2:]


def _is_time_first(model: nn.Module) -> bool:
    """Layers made with `batch_first=False`, fed by code that never swaps two dimensions."""
    layers = [m for m in model.modules() if isinstance(m, nn.RNNBase | nn.MultiheadAttention)]
    if not layers or any(layer.batch_first for layer in layers):
        return False
    classes = {type(module) for module in model.modules() if not is_torch(module)}
    return not any(word in forward_text(cls) for cls in classes for word in _TURNING)


def _is_sequential(model: nn.Module) -> bool:
    known = (
        nn.RNNBase | nn.RNNCellBase | nn.MultiheadAttention | nn.TransformerEncoderLayer | nn.TransformerDecoderLayer
    )
    for module in model.modules():
        if isinstance(module, known) or any(part in type(module).__name__ for part in _SEQUENCE_CLASSES):
            return True
    return False
