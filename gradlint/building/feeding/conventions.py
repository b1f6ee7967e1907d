"""Inputs that a model announces itself: Lightning's `example_input_array`, Hugging Face's configuration."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from gradlint.building.feeding.hints import SMALLEST_BATCH, Hints
from gradlint.building.feeding.leaves import entry_leaves
from gradlint.building.feeding.sizes import fewer
from gradlint.core.target import InputSpec

Announced = tuple[tuple[InputSpec, ...], str]


def announced(model: nn.Module, hints: Hints) -> Iterator[Announced]:
    """What the model says of its own inputs, with the name of the convention."""
    example = getattr(model, "example_input_array", None)
    if example is not None:
        yield from _of_examples(example, hints, "example_input_array")
    if hasattr(model, "main_input_name") and hasattr(model, "config"):
        yield from ((specs, f"{type(model.config).__name__}") for specs in _of_config(model, hints))
    dummy = getattr(model, "dummy_inputs", None)
    if isinstance(dummy, Mapping):
        yield from _of_examples(dummy, hints, "dummy_inputs")
    yield from _of_weights(model, hints)


def _of_weights(model: nn.Module, hints: Hints) -> Iterator[Announced]:
    """The image that pretrained weights are for, as timm says it; a convolution as first layer says enough itself."""
    for name in ("pretrained_cfg", "default_cfg"):
        settings = getattr(model, name, None)
        size = settings.get("input_size") if isinstance(settings, Mapping) else None
        first = next(iter(entry_leaves(model, 1)), None)
        if isinstance(size, tuple | list) and len(size) == 3 and not isinstance(first, _ConvNd):
            yield (InputSpec((fewer(hints.batch, math.prod(size)), *size)),), name
            break


def _of_examples(example: Any, hints: Hints, source: str) -> Iterator[Announced]:
    """Specifications of example tensors: a larger batch first where theirs is small, then as they are."""
    if isinstance(example, Mapping):
        pairs = [(str(name), value) for name, value in example.items()]
    else:
        pairs = [("", value) for value in (example if isinstance(example, tuple | list) else [example])]
    specs = tuple(_spec_of(name, value) for name, value in pairs)
    yield from batched(specs, hints, source)


def batched(specs: tuple[InputSpec, ...], hints: Hints, source: str) -> Iterator[Announced]:
    """The same inputs with a batch that statistics can be taken over, then as they stand; each with its source."""
    firsts = {spec.shape[0] for spec in specs if spec.dtype != "literal" and spec.shape}
    computed = any(isinstance(spec.value, torch.Tensor | Mapping) for spec in specs)  # such values stay as they are
    if not computed and len(firsts) == 1 and next(iter(firsts)) < SMALLEST_BATCH:
        yield tuple(_with_batch(spec, hints.batch) for spec in specs), f"{source}, with a batch of {hints.batch}"
    yield specs, source


def _with_batch(spec: InputSpec, batch: int) -> InputSpec:
    if spec.dtype == "literal" or not spec.shape:
        return spec
    return InputSpec((batch, *spec.shape[1:]), spec.dtype, spec.name, spec.high, spec.low)


def _spec_of(name: str, value: Any) -> InputSpec:
    if not isinstance(value, torch.Tensor):
        return InputSpec((), "literal", name, value=value)
    dtype = str(value.dtype).removeprefix("torch.")
    if value.dtype.is_floating_point or value.numel() == 0:
        return InputSpec(tuple(value.shape), dtype, name)
    return InputSpec(tuple(value.shape), dtype, name, high=int(value.max()) + 1, low=int(value.min()))


def _of_config(model: nn.Module, hints: Hints) -> Iterator[tuple[InputSpec, ...]]:
    """Inputs from a Hugging Face configuration, by the name of the model's main input."""
    config: Any = model.config
    main = str(model.main_input_name)
    inner = getattr(config, "vision_config", None) if main == "pixel_values" else None
    specs = [_main_input(main, inner or config, hints)]
    text = getattr(config, "text_config", None)
    if (main == "pixel_values" and text is not None) or (
        main == "input_ids" and getattr(config, "vision_config", None)
    ):
        other = "input_ids" if main == "pixel_values" else "pixel_values"
        source = text if other == "input_ids" else config.vision_config
        both = [*specs, _main_input(other, source, hints)]
        yield tuple(both)
    if getattr(config, "is_encoder_decoder", False):
        specs.append(_tokens("decoder_input_ids", getattr(config, "decoder", None) or config, hints))
    yield tuple(specs)


def _main_input(name: str, config: Any, hints: Hints) -> InputSpec:
    if name == "pixel_values":
        size = getattr(config, "image_size", None) or 224
        height, width = (size, size) if isinstance(size, int) else (size[0], size[1])
        return InputSpec((hints.batch, getattr(config, "num_channels", 3), height, width), name=name)
    if name == "input_features":
        length = 2 * int(getattr(config, "max_source_positions", 0) or hints.time)
        return InputSpec((hints.batch, int(getattr(config, "num_mel_bins", 80)), length), name=name)
    if name == "input_values" and getattr(config, "num_mel_bins", None):  # a spectrogram, time first
        return InputSpec(
            (hints.batch, int(getattr(config, "max_length", 0) or hints.time), config.num_mel_bins), name=name
        )
    if name == "input_values":
        return InputSpec((hints.batch, 16000), name=name)
    return _tokens(name, config, hints)


def _tokens(name: str, config: Any, hints: Hints) -> InputSpec:
    return InputSpec((hints.batch, hints.time), "int64", name, high=int(getattr(config, "vocab_size", 2)))
