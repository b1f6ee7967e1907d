"""Model files for the zoo: a zero-argument factory each, healthy or with one defect planted in its middle."""

from enum import StrEnum
from pathlib import Path

from zoo_models import Architecture


class Variant(StrEnum):
    """What is written: the model as its library makes it, or one with a defect."""

    DEFAULT = "default"
    TINY = "tiny"
    SATURATED = "saturated stage"
    SCALE = "σ = 1 init"
    SEVERED = "severed branch"


DEFECTS = (Variant.SATURATED, Variant.SCALE, Variant.SEVERED)
FOUND_BY = {
    Variant.SATURATED: frozenset(
        ["GL101", "GL107"]
    ),  # where a norm lifts the gradient, no signal is left to learn from
    Variant.SCALE: frozenset(["GL106", "GL201", "GL202", "GL302", "GL303"]),
    Variant.SEVERED: frozenset(["GL503", "GL504"]),
}
"""Codes of which one has to be reported, of its own or as a consequence, and not of the healthy model."""

SHIM = "_torchvision_operators.py"
SHIM_TEXT = '''"""torchvision (which transformers imports too) also where its compiled operators do not load."""
import torch

try:
    import torchvision
except RuntimeError:
    import sys

    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    import torchvision
'''

_SATURATED = '''
class Stage(nn.Module):
    """Twelve sigmoid layers in a row: the defect."""

    def __init__(self, width, axis, depth=12):
        super().__init__()
        self.axis = axis
        self.layers = nn.Sequential()
        for _ in range(depth):
            self.layers.append(nn.Linear(width, width))
            self.layers.append(nn.Sigmoid())

    def forward(self, x):
        return self.layers(x.movedim(self.axis, -1)).movedim(-1, self.axis)

'''
_SEVERED = '''
class Stage(nn.Module):
    """A branch that is added, and whose gradient is cut off: the defect."""

    def __init__(self, width, axis):
        super().__init__()
        self.axis = axis
        self.body = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.body(x.movedim(self.axis, -1)).movedim(-1, self.axis).detach()
'''
_INSERT = """

def insert(block, stage):
    inner = block.forward

    def forward(*args, **kwargs):
        out = inner(*args, **kwargs)
        return (stage(out[0]), *out[1:]) if isinstance(out, tuple) else stage(out)

    block.forward = forward

"""
_HELPERS = {Variant.SATURATED: _SATURATED + _INSERT, Variant.SEVERED: _SEVERED + _INSERT}


def variants(architecture: Architecture, *, plant: bool) -> list[Variant]:
    """What there is of an architecture."""
    healthy = [Variant.DEFAULT, *([Variant.TINY] if architecture.tiny else [])]
    return [*healthy, *(DEFECTS if plant else ())]


def write(architecture: Architecture, variant: Variant, folder: Path) -> Path:
    """Write a model's file, and the module that it imports first."""
    path = folder / f"{architecture.name.replace('.', '_').lower()}_{variant.name.lower()}.py"
    path.write_text(source(architecture, variant), encoding="utf-8")
    (folder / SHIM).write_text(SHIM_TEXT, encoding="utf-8")
    return path


def source(architecture: Architecture, variant: Variant) -> str:
    """The text of a model's file."""
    library = "import transformers" if architecture.config else "from torchvision import models"
    lines = ["import torch", "from torch import nn", "", f"import {SHIM.removesuffix('.py')}", library, ""]
    lines += [_HELPERS.get(variant, ""), "def model() -> nn.Module:", f"    net = {_call(architecture, variant)}"]
    lines += [f"    {line}" for line in _planted(architecture, variant)]
    return "\n".join([*lines, "    return net", ""])


def _call(architecture: Architecture, variant: Variant) -> str:
    tiny = {} if variant is Variant.DEFAULT else architecture.tiny
    settings = ", ".join(f"{name}={value!r}" for name, value in {**architecture.options, **tiny}.items())
    if not architecture.config:
        return f"{architecture.call}({settings})"
    return f"transformers.{architecture.call}(transformers.{architecture.config}({settings}))"


def _planted(architecture: Architecture, variant: Variant) -> list[str]:
    if variant in _HELPERS:
        stage = f"net.planted = Stage({architecture.width}, {-1 if architecture.last else 1})"
        return [stage, f'insert(net.get_submodule("{architecture.block}"), net.planted)']
    if variant is Variant.SCALE:
        initialised = "nn.init.normal_(weight, std=1.0)"
        return ["for weight in net.parameters():", "    if weight.dim() > 1:", f"        {initialised}"]
    return []
