"""Which inputs to try for each argument of a forward, from its name, its consumer in the model and the first layers."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch import nn

from gradlint.building.feeding.documented import documented
from gradlint.building.feeding.fitting import fitted
from gradlint.building.feeding.forward_source import Argument
from gradlint.building.feeding.hints import Hints, told_number
from gradlint.building.feeding.leaves import alternatives, entry_leaves
from gradlint.building.feeding.structured import is_walked_over, structured, takes_either
from gradlint.building.snapshot import undisturbed
from gradlint.core.target import InputSpec

_MASKS = ("mask", "padding", "attn_bias", "causal")
_STEPS = ("t", "ts", "time", "timestep", "timesteps", "step", "steps", "noise_level", "sigma", "noise_labels")
_STATE_MAKERS = ("init_hidden", "initHidden", "init_state", "initial_state", "get_initial_state", "begin_state")
_LENGTHS = ("len", "length")
_STATES = ("hidden", "state", "hx", "h0", "h_0", "h", "c0", "memory_state", "hidden_state", "prev_state", "cache")
_WHAT_BLOCKS_PASS_ON = "hidden_states"
"""A recurrent state nowhere where it comes first."""
_WIDTHS = ("_channels", "_dim", "_features", "_width", "_size")
_IDS = ("idx", "ids", "token", "tokens", "input_ids", "src", "tgt", "trg", "indices", "text", "caption", "words")
_COORDINATES = ("_ids", "_coords", "_positions", "_pos")
_IMAGES = ("img", "imgs", "image", "images", "picture", "pixel_values", "photo", "pixels")
_FILMS = ("video", "videos", "clip", "film")
_SIGNALS = ("audio", "waveform", "wav", "signal", "series", "time_series")
_CLASSES = ("label", "labels", "y", "target", "targets", "class_labels", "cls", "classes", "class_id", "class_ids")

_MOST_IMAGE_CHANNELS = 4
_FIRST = 2
"""Plain tensors that are tried before several in one argument, where a forward asks which it has been given."""

Proposal = tuple[InputSpec, ...]


def literal(value: object, name: str = "") -> InputSpec:
    """An argument that is passed as it stands."""
    return InputSpec((), "literal", name, value=value)


def proposals(model: nn.Module, arguments: list[Argument], hints: Hints) -> Iterator[tuple[Proposal, str]]:
    """Combinations of inputs with the layer they were derived from, likeliest first.

    The first argument runs through all its alternatives; the others through their first few.
    """
    leaves = entry_leaves(model)
    lists = [for_argument(model, argument, index, leaves, hints) for index, argument in enumerate(arguments)]
    ranked = (
        sorted(
            product(*(range(len(options)) for options in lists)),
            key=lambda choice: (sum(choice) + 2 * sum(choice[1:]), choice),
        )
        if len(lists) > 1
        else [(index,) for index in range(len(lists[0]) if lists else 0)]
    )
    for choice in ranked:
        specs = tuple(lists[at][index] for at, index in enumerate(choice))
        named = tuple(
            replace(spec, name=argument.name if argument.keyword_only else "")
            for spec, argument in zip(specs, arguments, strict=True)
        )
        yield named, _described(leaves)
    if not arguments:
        yield (), "no arguments"


def _described(leaves: list[nn.Module]) -> str:
    return f"derived from {type(leaves[0]).__name__} stem" if leaves else "derived from bare parameters"


def for_argument(
    model: nn.Module, argument: Argument, index: int, leaves: list[nn.Module], hints: Hints, depth: int = 1
) -> list[InputSpec]:
    """Up to a dozen alternatives for one argument."""
    is_state = _is_state(argument.name) and not (argument.name == _WHAT_BLOCKS_PASS_ON and not index)
    inner: list[InputSpec] = []
    if depth and not is_state:
        inner = list(
            structured(model, argument, hints, lambda part, at: for_argument(model, part, at, leaves, hints, 0))
        )
        if inner and not takes_either(model, argument.name):
            return inner
    options = list(_by_name(argument.name.lower(), model, hints)) if index else []
    options += _of_told_width(argument.name, model, hints) if index else []
    for path in argument.consumers[:2]:
        options += _of_consumer(model, path, hints)
    options = _pictured(argument.name.lower(), options, leaves, hints)
    if not options and not index and (is_state or not _is_state(argument.name)):
        options += list(_by_name(argument.name.lower(), model, hints))
    if index == 0 and _is_joined(leaves, hints):  # x and a state, side by side
        options.insert(0, InputSpec((hints.batch, hints.features)))
    ordered = leaves if index == 0 else leaves[index:] + leaves[:index]
    for position, leaf in enumerate(ordered):
        options += alternatives(leaf, hints)
        if position == 0 and isinstance(leaf, nn.Conv2d) and leaf.in_channels > _MOST_IMAGE_CHANNELS:
            options += [InputSpec((hints.batch, 3, size, size)) for size in (64, 224)]  # pixels folded into channels
    options += [*_of_parameters(model, hints), *(_of_told_size(hints) if index == 0 else ())]
    unique = fitted(
        argument.name.lower(), documented(type(model), argument), list(dict.fromkeys(options)), model, hints
    )
    if argument.time_first or hints.time_first:
        unique = list(dict.fromkeys(_time_first(spec, hints) for spec in unique))
    plain = unique[: 40 if index == 0 else 6] or [InputSpec((hints.batch, hints.time))]
    if is_walked_over(model, argument.name):
        plain[_FIRST:_FIRST] = [InputSpec((), "list", items=(replace(spec, name=""),)) for spec in plain[:_FIRST]]
    return [*plain[:_FIRST], *inner, *plain[_FIRST:]] if inner else plain


def _is_joined(leaves: list[nn.Module], hints: Hints) -> bool:
    """Whether the first layer takes more than the width that the model was built for."""
    first = leaves[0] if leaves else None
    return isinstance(first, nn.Linear) and 0 < hints.features < first.in_features


def _pictured(name: str, options: list[InputSpec], leaves: list[nn.Module], hints: Hints) -> list[InputSpec]:
    """An argument called "image" has the dimensions of one: first of what the layers tell, else with usual sizes."""
    dims = 2 if name in _IMAGES else 3 if name in _FILMS else 1 if name in _SIGNALS else 0
    if not dims:
        return options
    known = options + [spec for leaf in leaves for spec in alternatives(leaf, hints)]
    fitting = [spec for spec in known if len(spec.shape) == dims + 2]
    fitting.sort(key=lambda spec: spec.shape[1] > _MOST_IMAGE_CHANNELS)  # later layers take more
    if dims == 2 and (not fitting or fitting[0].shape[-1] not in hints.image_sizes):
        fitting = [*_of_told_size(hints), *fitting]
    sizes = {1: ((256,), (1024,)), 2: ((64, 64), (224, 224)), 3: ((8, 64, 64), (16, 112, 112))}[dims]
    usual = [InputSpec((hints.batch, channels, *size)) for size in sizes for channels in (3, 1)]
    return fitting + usual + [spec for spec in options if spec not in fitting]


def _is_state(name: str) -> bool:
    return name in _STATES or name.startswith(("hidden", "init_h"))


def _of_told_width(name: str, model: nn.Module, hints: Hints) -> list[InputSpec]:
    """What the model was given a width of by its name: `temb` by `temb_channels`, `projections` by `projection_dim`."""
    stems = dict.fromkeys((name, name.removesuffix("s")))
    told = (told_number(model, hints, f"{stem}{ending}") for stem in stems for ending in _WIDTHS)
    return [
        InputSpec(shape)
        for width in told
        if width
        for shape in ((hints.batch, width), (hints.batch, hints.time, width))
    ]


def _of_told_size(hints: Hints) -> Iterator[InputSpec]:
    """Images of the size that the model was made for."""
    for size in hints.image_sizes[:1]:
        yield from (InputSpec((hints.batch, channels, size, size)) for channels in (3, 1))


def _of_consumer(model: nn.Module, path: str, hints: Hints) -> list[InputSpec]:
    try:
        module = model.get_submodule(path)
    except AttributeError:
        return []
    leaves = entry_leaves(module, 1)
    return alternatives(leaves[0], hints) if leaves else []


def _by_name(name: str, model: nn.Module, hints: Hints) -> Iterator[InputSpec]:
    if any(part in name for part in _MASKS):
        yield literal(None)
        yield InputSpec((hints.batch, hints.time), "int64", low=1, high=2)
        yield InputSpec((hints.batch, hints.time), "bool")
    if _is_state(name):
        yield from _states(model, hints)
    if name in _STEPS:
        yield InputSpec((hints.batch,), "int64", high=min(_steps(model), 1000))
        yield InputSpec((hints.batch,))
        yield InputSpec((hints.batch, 1))
    if name.endswith(_LENGTHS) or name.endswith("lengths"):
        yield InputSpec((hints.batch,), "int64", low=hints.time, high=hints.time + 1)
    if name in _CLASSES:
        classes = [m.num_embeddings for m in model.modules() if isinstance(m, nn.Embedding)]
        yield InputSpec((hints.batch,), "int64", high=min(classes, default=2))
    if name.endswith(_COORDINATES) and name not in _IDS:
        yield InputSpec((hints.batch, hints.time), "int64", high=hints.tokens)
        yield InputSpec((hints.time, 3), "int64", high=hints.time)
        yield InputSpec((hints.time,), "int64", high=hints.tokens)
    if name in _IDS and any(isinstance(m, nn.Embedding) for m in model.modules()):
        yield InputSpec((hints.batch, hints.time), "int64", high=hints.tokens)


def _states(model: nn.Module, hints: Hints) -> Iterator[InputSpec]:
    """A recurrent state: what the model's own `init_hidden` gives, None, zeros that fit its first recurrent layer."""
    for name in _STATE_MAKERS:
        maker: Any = getattr(model, name, None)
        for arguments in ((hints.batch,), ()) if maker is not None else ():
            made: list[Any] = []
            with suppress(Exception), undisturbed(model):  # the user's helper may want other arguments
                made.append(maker(*arguments))
            yield from (literal(value) for value in made if value is not None)
    yield literal(None)
    rnn = next((module for module in model.modules() if isinstance(module, nn.RNNBase)), None)
    if rnn is not None:
        directions = 2 if rnn.bidirectional else 1
        zeros = torch.zeros(directions * rnn.num_layers, hints.batch, rnn.hidden_size, dtype=hints.dtype)
        yield literal((zeros, zeros.clone()) if isinstance(rnn, nn.LSTM) else zeros)
    for module in model.modules():
        if isinstance(module, nn.RNNCellBase):
            yield InputSpec((hints.batch, module.hidden_size))
            break
    width = getattr(model, "hidden_size", None)
    if isinstance(width, int):
        yield InputSpec((hints.batch, width))


def _steps(model: nn.Module) -> int:
    for name in ("num_timesteps", "timesteps", "n_steps", "T", "num_steps"):
        value = getattr(model, name, None)
        if isinstance(value, int) and value > 1:
            return value
    return 1000


def _of_parameters(model: nn.Module, hints: Hints) -> Iterator[InputSpec]:
    """Models that keep bare parameters: a matrix is multiplied from either side, a filter is convolved with."""
    for parameter in list(model.parameters())[:2]:
        if parameter.dim() == 2:
            for size in dict.fromkeys(parameter.shape):
                yield InputSpec((hints.batch, size))
        elif parameter.dim() == 4:
            yield InputSpec((hints.batch, parameter.shape[1], 32, 32))


def _time_first(spec: InputSpec, hints: Hints) -> InputSpec:
    """(B, T, F) and (B, T) ids turned round; what has time first already stays."""
    sequence = len(spec.shape) == 3 or (len(spec.shape) == 2 and spec.dtype == "int64")
    if not sequence or spec.shape[0] != hints.batch:
        return spec
    batch, time, *rest = spec.shape
    return replace(spec, shape=(time, batch, *rest))
