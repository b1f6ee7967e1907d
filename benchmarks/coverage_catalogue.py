"""The models of `coverage.py`: each the text of a file that somebody might have written, with no inputs named."""

import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import torch
from common import import_torchvision
from zoo_files import SHIM
from zoo_transformers import ENTRIES
from zoo_vision import SMALL

Sources = Mapping[str, str]
"""Name of a model → text of its file."""

OTHERS = """
vit_pytorch.ViT(image_size=64, patch_size=8, num_classes=10, dim=64, depth=3, heads=4, mlp_dim=128)
vit_pytorch.simple_vit.SimpleViT(image_size=64, patch_size=8, num_classes=10, dim=64, depth=3, heads=4, mlp_dim=128)
vit_pytorch.cait.CaiT(image_size=64, patch_size=8, num_classes=10, dim=64, depth=3, cls_depth=2, heads=4, mlp_dim=128)
vit_pytorch.deepvit.DeepViT(image_size=64, patch_size=8, num_classes=10, dim=64, depth=3, heads=4, mlp_dim=128)
vit_pytorch.t2t.T2TViT(dim=64, image_size=64, depth=3, heads=4, mlp_dim=128, num_classes=10)
vit_pytorch.cct.CCT(img_size=(64, 64), embedding_dim=64, n_conv_layers=2, kernel_size=7, stride=2, padding=3,
    pooling_kernel_size=3, pooling_stride=2, pooling_padding=1, num_layers=3, num_heads=4, mlp_ratio=3.0,
    num_classes=10)
vit_pytorch.cross_vit.CrossViT(image_size=48, num_classes=10, sm_dim=64, lg_dim=128, depth=1)
vit_pytorch.pit.PiT(image_size=64, patch_size=8, dim=64, num_classes=10, depth=(1, 2), heads=4, mlp_dim=128)
vit_pytorch.levit.LeViT(image_size=64, num_classes=10, dim=(64, 96, 128), depth=2, heads=(2, 3, 4), mlp_mult=2)
vit_pytorch.crossformer.CrossFormer(num_classes=10, dim=(32, 64, 128, 256), depth=(1, 1, 2, 1))
monai.networks.nets.UNet(spatial_dims=3, in_channels=1, out_channels=2, channels=(8, 16, 32), strides=(2, 2))
monai.networks.nets.BasicUNet(spatial_dims=2, in_channels=3, out_channels=2)
monai.networks.nets.SegResNet(spatial_dims=2, in_channels=3, out_channels=2)
monai.networks.nets.VNet(spatial_dims=3, in_channels=1, out_channels=2)
monai.networks.nets.DynUNet(spatial_dims=2, in_channels=1, out_channels=2, kernel_size=(3, 3, 3), strides=(1, 2, 2),
    upsample_kernel_size=(2, 2))
monai.networks.nets.AttentionUnet(spatial_dims=2, in_channels=1, out_channels=2, channels=(8, 16, 32), strides=(2, 2))
monai.networks.nets.DenseNet121(spatial_dims=3, in_channels=1, out_channels=2)
monai.networks.nets.FlexibleUNet(in_channels=3, out_channels=2, backbone="efficientnet-b0", spatial_dims=2)
segmentation_models_pytorch.Unet("resnet18", encoder_weights=None)
segmentation_models_pytorch.UnetPlusPlus("resnet18", encoder_weights=None)
segmentation_models_pytorch.FPN("resnet34", encoder_weights=None)
segmentation_models_pytorch.PSPNet("resnet18", encoder_weights=None)
segmentation_models_pytorch.DeepLabV3Plus("resnet18", encoder_weights=None)
segmentation_models_pytorch.Linknet("mobilenet_v2", encoder_weights=None)
segmentation_models_pytorch.Segformer("efficientnet-b0", encoder_weights=None)
segmentation_models_pytorch.UPerNet("resnet18", encoder_weights=None)
x_transformers.TransformerWrapper(num_tokens=300, max_seq_len=64, attn_layers=x_transformers.Decoder(dim=64, depth=3,
    heads=4))
x_transformers.TransformerWrapper(num_tokens=300, max_seq_len=64, attn_layers=x_transformers.Encoder(dim=64, depth=3,
    heads=4))
diffusers.AutoencoderKL(block_out_channels=(32, 64), down_block_types=("DownEncoderBlock2D",) * 2,
    up_block_types=("UpDecoderBlock2D",) * 2)
diffusers.UNet2DModel(sample_size=32, block_out_channels=(32, 64), down_block_types=("DownBlock2D",
    "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"))
"""
"""Calls of five more libraries, as their documents show them, small."""


def torchvision() -> Sources:
    """Forty of torchvision's models, every family among them."""
    models = import_torchvision().models
    names = _spread(models.list_models(), lambda name: models.get_model_builder(name).__module__, 40)
    return {name: _file("from torchvision import models", _torchvision(models, name)) for name in names}


def _torchvision(models: object, name: str) -> str:
    builder = models.get_model_builder(name)  # type: ignore[attr-defined]
    known = inspect.signature(builder).parameters
    weights = ["weights", *(["weights_backbone"] if "weights_backbone" in known else [])]
    return f"models.get_model({name!r}, {', '.join(f'{weight}=None' for weight in weights)})"


def timm() -> Sources:
    """Forty of timm's models, each of a family of its own, evenly over the alphabet."""
    import timm

    names = _spread(timm.list_models(), lambda name: str(timm.model_entrypoint(name).__module__), 40)
    return {name: _file("import timm", f"timm.create_model({name!r})") for name in names}


def pytorchcv() -> Sources:
    """Sixty of pytorchcv's models, each of a family of its own."""
    names = [entry.partition(":")[0] for entry in SMALL.split()]
    every = _spread(names, str, 60)
    return {name: _file("from pytorchcv.model_provider import get_model", f"get_model({name!r})") for name in every}


def transformers() -> Sources:
    """Sixty architectures of transformers in their default configurations, up to many billions of parameters."""
    every = _spread([name + head for name, head, _, _ in ENTRIES], str, 60)
    heads = {name + head: f"{name}Config" for name, head, _, _ in ENTRIES}
    return {name: _file("import transformers", f"transformers.{name}(transformers.{heads[name]}())") for name in every}


def others() -> Sources:
    """Thirty of five more libraries."""
    calls = OTHERS.strip().replace("\n    ", " ").splitlines()
    return {_name(call): _file(f"import {_path(call)}", call) for call in calls}


def _path(call: str) -> str:
    """The module that a call's class lies in."""
    return call.partition("(")[0].rpartition(".")[0]


def _name(call: str) -> str:
    library, _, rest = call.partition(".")
    inner = rest.partition("x_transformers.")[2].partition("(")[0]
    return f"{library}.{rest.partition('(')[0].rpartition('.')[2]}{inner and f' {inner}'}"


def _file(imports: str, call: str) -> str:
    lines = ["from torch import nn", "", f"import {Path(SHIM).stem}", imports, "", ""]
    return "\n".join([*lines, "def model() -> nn.Module:", f"    return {call}", ""])


def _spread(names: Iterable[str], family: Callable[[str], str], count: int) -> list[str]:
    """So many of the names: one of each family (evenly over the families, if there are more), then a second one, ….

    Within a family the shortest name first: that of its plain and mostly its smallest model.
    """
    families: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (len(name), name)):
        families.setdefault(family(name), []).append(name)
    ordered = [families[key] for key in sorted(families)]
    if len(ordered) >= count:
        return [ordered[place * len(ordered) // count][0] for place in range(count)]
    rounds = chain.from_iterable(zip_longest(*ordered))
    return [name for name in rounds if name is not None][:count]


def prepare() -> None:
    """Import what the children will need, once."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    _complete(import_torchvision())
    import transformers

    transformers.logging.set_verbosity_error()


def _complete(torchvision: Any) -> None:
    """Where torchvision's compiled operators do not load: boxes are suppressed in Python, as it aligns them itself."""
    if torchvision.extension._has_ops():
        return
    from torchvision.ops import boxes

    boxes._assert_has_ops = lambda: None
    kernels = torch.library.Library("torchvision", "IMPL")  # type: ignore[no-untyped-call]
    kernels.impl("nms", _suppressed, "CPU")
    _kept.append(kernels)


def _suppressed(dets: torch.Tensor, scores: torch.Tensor, iou_threshold: float) -> torch.Tensor:
    """Places of the boxes that overlap none of a higher score, by falling score."""
    from torchvision.ops import box_iou

    left = scores.argsort(descending=True)
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[1:][box_iou(dets[left[:1]], dets[left[1:]])[0] <= iou_threshold]
    return torch.stack(kept) if kept else left


_kept: list[Any] = []
"""A library that is collected takes its kernels with it."""
LIBRARIES: dict[str, Callable[[], Sources]] = {
    "torchvision": torchvision,
    "timm": timm,
    "pytorchcv": pytorchcv,
    "transformers": transformers,
    "others": others,
}
