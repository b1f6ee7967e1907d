"""The models of the accuracy table, and the figures that a prediction has to reach on each (`docs/accuracy.md`)."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from common import import_torchvision
from torch import Tensor, nn

Inputs = dict[str, Tensor] | tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """One architecture, and how it is fed."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[], Inputs]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: one or several architectures, and the absolute errors to reach, in decades."""

    name: str
    cases: tuple[Case, ...]
    forward: tuple[float, float] = (math.inf, math.inf)
    """Median and 90th percentile of the error of activations; infinite where no figure was given."""
    backward: tuple[float, float] = (math.inf, math.inf)
    """The same of gradients."""


ACTIVATIONS = (nn.Sigmoid, nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.ELU, nn.SELU, nn.LeakyReLU)


class MLP(nn.Sequential):
    """Twenty layers of equal width, and a head."""

    def __init__(self, activation: type[nn.Module], norm: type[nn.Module] | None, depth: int = 20, width: int = 128):
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(width, width), *([norm(width)] if norm else []), activation()]
        super().__init__(*layers, nn.Linear(width, 10))


class BasicBlock(nn.Module):
    """Two convolutions around which the input goes, thinned out and padded with zeros where the shape changes."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.stride = width // before
        self.conv1 = nn.Conv2d(before, width, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.added = width - before

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → the same, or [B, 2C, H/2, W/2]."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        short = x[:, :, :: self.stride, :: self.stride]
        if self.added:
            short = nn.functional.pad(short, (0, 0, 0, 0, self.added // 2, self.added // 2))
        return torch.relu(out + short)


class CifarResNet(nn.Module):
    """He et al.'s residual network for 32×32 images: 6n + 2 layers, 16 channels wide at its beginning."""

    def __init__(self, n: int = 18, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        widths = [width] * n + [2 * width] * n + [4 * width] * n
        pairs = zip([width, *widths], widths, strict=False)
        self.blocks = nn.Sequential(*(BasicBlock(before, after) for before, after in pairs))
        self.head = nn.Linear(4 * width, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 3, 32, 32] → [B, classes]."""
        features = self.blocks(torch.relu(self.norm(self.stem(x))))
        logits: Tensor = self.head(features.mean((2, 3)))
        return logits


def _vectors() -> Inputs:
    return (torch.randn(64, 128),)


def _mlp(activation: type[nn.Module], norm: type[nn.Module] | None = None) -> Case:
    name = f"MLP-20 {activation.__name__}" + (f" {norm.__name__}" if norm else "")
    return Case(name, lambda: MLP(activation, norm), _vectors)


def _images(batch: int, size: int) -> Callable[[], Inputs]:
    return lambda: (torch.randn(batch, 3, size, size),)


def _vision(name: str, size: int, batch: int = 8, **options: Any) -> Case:
    """A torchvision model with random weights."""
    return Case(
        f"{name}, {batch}×3×{size}×{size}",
        lambda: import_torchvision().models.get_model(name, weights=None, **options),
        _images(batch, size),
    )


def awake(model: nn.Module) -> nn.Module:
    """With the weights that others have in the place of a head of zeros, which passes no gradient on."""
    for module in model.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.trunc_normal_(module.weight, std=0.02)
    return model


def _gpt2() -> nn.Module:
    import transformers

    return transformers.GPT2LMHeadModel(transformers.GPT2Config())


def _bert() -> nn.Module:
    import transformers

    return transformers.BertForMaskedLM(transformers.BertConfig(num_hidden_layers=6))


def _tokens(high: int) -> Callable[[], Inputs]:
    return lambda: {"input_ids": torch.randint(5, high, (8, 32))}


def _resnet110(batch: int) -> Case:
    return Case(f"ResNet-110, {batch}×3×32×32", CifarResNet, _images(batch, 32))


_VIT = _vision("vit_b_16", 96, image_size=96)

ROWS = (
    Row("20-layer MLPs, 8 activations", tuple(map(_mlp, ACTIVATIONS)), (0.01, 0.03), (0.02, 0.07)),
    Row(
        "20-layer MLP with BatchNorm or LayerNorm",
        (_mlp(nn.ReLU, nn.BatchNorm1d), _mlp(nn.ReLU, nn.LayerNorm)),
        (0.00, 0.02),
        (0.08, 0.14),
    ),
    Row("ResNet-18", (_vision("resnet18", 96),), (0.00, 0.03), (0.02, 0.05)),
    Row("ResNet-50", (_vision("resnet50", 96),), (0.00, 0.01), (0.04, 0.07)),
    Row("MobileNetV2", (_vision("mobilenet_v2", 128),), (0.00, 0.02), (0.04, 0.08)),
    Row("MobileNetV3", (_vision("mobilenet_v3_large", 128),), (0.00, 0.03), (0.07, 0.13)),
    Row("EfficientNet-B0", (_vision("efficientnet_b0", 128),), (0.01, 0.05), (0.04, 0.28)),
    Row("DenseNet-121", (_vision("densenet121", 96),), (0.00, 0.02), (0.12, 0.37)),
    Row("ResNet-110, batch 2", (_resnet110(2),), (0.00, 0.02), (0.14, 0.19)),
    Row("ResNet-110, batch 32", (_resnet110(32),), (0.00, 0.02), (0.13, 0.15)),
    Row("ViT-B/16 (its head is zero)", (_VIT,), (0.00, 0.04), (0.01, 0.01)),
    Row("ViT-B/16 with a head", (replace(_VIT, build=lambda: awake(_VIT.build())),)),
    Row("ConvNeXt-T", (_vision("convnext_tiny", 96),), (0.00, 0.01), (0.20, 0.22)),
    Row("GPT-2", (Case("GPT-2, 8×32", _gpt2, _tokens(50_000)),), (0.00, 0.25), (0.07, 0.23)),
    Row("BERT, 6 layers", (Case("BERT-6, 8×32", _bert, _tokens(30_000)),), (0.01, 0.14), (0.00, 0.27)),
    Row("VGG-16 at 64×64", (_vision("vgg16", 64),), (0.27, 0.35), (0.71, 0.88)),
)
