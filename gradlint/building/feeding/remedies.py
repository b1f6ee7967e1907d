"""What a user can say or change, where no inputs were found on which the forward runs."""

import re
from collections.abc import Sequence

from torch import nn

from gradlint.building.feeding.forward_source import Argument, forward_text
from gradlint.building.feeding.hints import Hints
from gradlint.core.toml import target_entry

_NO_GPU = re.compile(
    r"not compiled with CUDA|No CUDA GPUs|Found no NVIDIA|torch\.cuda\.\w+ is not available|CUDA driver"
)
_WANTS_INDEX = re.compile(
    r"one_hot|index out of range|index tensor|'indices'|used as indices|expected.*(Long|Int)\b",
)
_INDEX_NAME = re.compile(r"(^|_)(idx|ids?|index|indices|tokens?|words?|cats?|categor\w*|labels?|codes?)($|_)")
_CLASSES = re.compile(r"one_hot\([^()]*(?:\([^()]*\))?[^()]*,\s*(?:num_classes\s*=\s*)?(\d+)\s*\)")


def remedy(path: str, name: str, model: nn.Module, arguments: Sequence[Argument], hints: Hints, error: str) -> str:
    """The configuration to paste, or what else would help.

    Args:
        path: the checked file.
        name: of the model.
        model: the model itself.
        arguments: what its forward requires.
        hints: sizes.
        error: what the first attempt raised; it may tell that an argument is an index, or that no input helps.
    """
    if _NO_GPU.search(error):
        return "it needs a GPU, which this machine lacks: make new tensors on the device of the inputs (x.device)"
    rows = []
    for argument in arguments:
        called = f'name = "{argument.name}", ' if len(arguments) > 1 else ""
        rows.append(f"{{ {called}{_entry(argument, model, hints, error, alone=len(arguments) == 1)} }}")
    inputs = ", ".join(rows) or f'{{ shape = [{hints.batch}, …], dtype = "float32" }}'
    entry = target_entry(f"{path}:{name}", {"inputs": f"[{inputs}]"})
    return f"in pyproject.toml, with the dots filled in:\n{entry}"


def _entry(argument: Argument, model: nn.Module, hints: Hints, error: str, *, alone: bool) -> str:
    keys = _keys(model, argument.name)
    if keys:
        entries = ", ".join(f"{key} = {{ shape = [{hints.batch}, …] }}" for key in keys)
        return f"dict = {{ {entries} }}"
    table = _embedding(model, argument)
    if table is not None:
        return f'shape = [{hints.batch}, …], dtype = "int64", high = {table.num_embeddings}'
    if _WANTS_INDEX.search(error) and (alone or _INDEX_NAME.search(argument.name.lower())):
        return f'shape = [{hints.batch}, …], dtype = "int64", high = {_high(model, hints, error)}'
    return f'shape = [{hints.batch}, …], dtype = "float32"'


def _embedding(model: nn.Module, argument: Argument) -> nn.Embedding | None:
    modules = dict(model.named_modules())
    found = (modules.get(path) for path in argument.consumers)
    return next((module for module in found if isinstance(module, nn.Embedding)), None)


def _high(model: nn.Module, hints: Hints, error: str) -> str:
    """The bound below which every index is valid; dots where nothing tells it."""
    if "one_hot" in error:
        classes = [int(match[1]) for module in model.modules() for match in _CLASSES.finditer(_text(module))]
        return str(min(classes)) if classes else "…"
    has_table = any(isinstance(module, nn.Embedding | nn.EmbeddingBag) for module in model.modules())
    return str(hints.tokens) if has_table else "…"


def _text(module: nn.Module) -> str:
    return "" if type(module).__module__.startswith("torch.") else forward_text(type(module))


def _keys(model: nn.Module, name: str) -> list[str]:
    """Keys that the forward takes out of an argument: `batch["ids"]`."""
    pattern = re.compile(rf"\b{re.escape(name)}(?:\.get\(|\[)\s*([\"'])(\w+)\1")
    return list(dict.fromkeys(match[2] for match in pattern.finditer(_text(model))))
