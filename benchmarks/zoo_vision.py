"""The vision models whose flow is measured: torchvision's families and one model per family of pytorchcv."""

from typing import Any

import torch
from accuracy_models import Case, Inputs, awake
from common import import_torchvision
from torch import nn

BATCH = 8


def _images(size: int) -> Inputs:
    return (torch.randn(BATCH, 3, size, size),)


def _clips() -> Inputs:
    return (torch.randn(BATCH, 3, 4, 64, 64),)


def _vision(name: str, size: int = 64, **options: Any) -> Case:
    def build() -> nn.Module:
        return awake(import_torchvision().models.get_model(name, weights=None, **options))

    return Case(name, build, _clips if name in {"r3d_18", "mvit_v2_s"} else lambda: _images(size))


def _maxvit() -> nn.Module:
    """`maxvit_t` for images of 64 × 64: windows of 2 × 2."""
    model: nn.Module = import_torchvision().models.MaxVit(
        input_size=(64, 64), stem_channels=64, partition_size=2, block_channels=[64, 128, 256, 512],
        block_layers=[2, 2, 5, 2], head_dim=32, stochastic_depth_prob=0.2,
    )  # fmt: skip
    return model


def torchvision_cases() -> tuple[Case, ...]:
    """All families of classifiers, three of segmentation, one of video."""
    untrained = {"weights_backbone": None}
    return (
        _vision("alexnet"),
        _vision("vgg11"),
        _vision("vgg16_bn"),
        _vision("resnet18", 96),
        _vision("resnet50", 96),
        _vision("resnext50_32x4d"),
        _vision("wide_resnet50_2"),
        _vision("densenet121", 96),
        _vision("googlenet", 96, init_weights=False, aux_logits=False),
        _vision("inception_v3", 96, init_weights=False, aux_logits=False),
        _vision("squeezenet1_1"),
        _vision("mnasnet1_0", 96),
        _vision("mobilenet_v2", 96),
        _vision("mobilenet_v3_small", 96),
        _vision("mobilenet_v3_large", 96),
        _vision("efficientnet_b0", 96),
        _vision("efficientnet_v2_s"),
        _vision("shufflenet_v2_x1_0", 96),
        _vision("regnet_x_400mf", 96),
        _vision("regnet_y_400mf", 96),
        _vision("convnext_tiny"),
        _vision("vit_b_32", 96, image_size=96),
        _vision("swin_t"),
        _vision("swin_v2_t"),
        Case("maxvit", _maxvit, lambda: _images(64)),
        _vision("fcn_resnet50", aux_loss=True, **untrained),
        _vision("deeplabv3_resnet50", **untrained),
        _vision("lraspp_mobilenet_v3_large", **untrained),
        _vision("r3d_18"),
    )


SMALL = """
    alexnet:224 zfnet:224 vgg11:224 bninception resnet10 preresnet10 resnext14_16x4d seresnet10 sepreresnet10
    seresnext50_32x4d senet16 resnestabc14 ibn_resnet50 ibnb_resnet50 ibn_resnext50_32x4d ibn_densenet121
    airnet50_1x64d_r2 airnext50_32x4d_r2 bam_resnet18 cbam_resnet18 resattnet56 sknet50 scnet50:128 regnetx002
    diaresnet10 diapreresnet10 pyramidnet101_a360 diracnet18v2 sharesnet18 densenet121 condensenet74_c4_g4 sparsenet121
    peleenet wrn50_2 drnc26 dpn68:224 darknet_ref:224 darknet53 channelnet revnet38 irevnet301 bagnet9 dla34
    msdnet22:224 fishnet99 espnetv2_wd2 dicenet_wd5 hrnet_w18_small_v1 vovnet27s selecsls42 hardnet39ds xdensenet121_2
    squeezenet_v1_0:224 sqnxt23_w1 shufflenet_g1_w1 shufflenetv2_wd2 shufflenetv2b_wd2 menet108_8x1_g3 mobilenet_w1
    mobilenetb_w1 fdmobilenet_w1 mobilenetv2_w1 mobilenetv3_small_w7d20 igcv3_w1 ghostnet mnasnet_b1 darts
    proxylessnas_cpu fbnet_cb inceptionv3:96 inceptionv4:96 inceptionresnetv1:96 inceptionresnetv2:96 polynet:96
    nasnet_4a1056 pnasnet5large spnasnet efficientnet_b0:224 efficientnet_edge_small_b:224 mixnet_s nin_cifar10:32
    resnet20_cifar10:32 preresnet20_cifar10:32 resnext20_16x4d_cifar10:32 seresnet20_cifar10:32
    sepreresnet20_cifar10:32 pyramidnet110_a48_cifar10:32 densenet40_k12_cifar10:32 xdensenet40_2_k24_bc_cifar10:32
    wrn16_10_cifar10:32 wrn20_10_1bit_cifar10:32 ror3_56_cifar10:32 rir_cifar10:32 msdnet22_cifar10:32
    resdropresnet20_cifar10:32 shakeshakeresnet20_2x16d_cifar10:32 shakedropresnet20_cifar10:32 fractalnet_cifar10:32
    diaresnet20_cifar10:32 diapreresnet20_cifar10:32 isqrtcovresnet18 resneta10 resnetd50b fastseresnet101b
    octresnet10_ad2 fcn8sd_resnetd50b_voc pspnet_resnetd50b_voc deeplabv3_resnetd50b_voc icnet_resnetd50b_cityscapes
    fastscnn_cityscapes cgnet_cityscapes dabnet_cityscapes sinet_cityscapes:128 bisenet_resnet18_celebamaskhq
    danet_resnetd50b_cityscapes fpenet_cityscapes ctxnet_cityscapes lednet_cityscapes esnet_cityscapes
    edanet_cityscapes enet_cityscapes erfnet_cityscapes linknet_cityscapes segnet_cityscapes unet_cityscapes
    sqnet_cityscapes alphapose_fastseresnet101b_coco simplepose_resnet18_coco simplepose_mobile_resnet18_coco
    lwopenpose2d_mobilenet_cmupan_coco ibppose_coco prnet centernet_resnet18_voc lffd20x5s320v2_widerface:128 tresnet_m
    espcnet_cityscapes
"""
"""pytorchcv, one model per family: its smallest, with the size of its images where 64 × 64 is too small. Left out: what
needs more than an image (audio, video, optical flow), what librosa is needed for, and the families `…_cub`, which are
others with 200 classes."""


def _pytorchcv(entry: str) -> Case:
    name, _, given = entry.partition(":")
    size = int(given or 64)

    def build() -> nn.Module:
        import_torchvision()
        from pytorchcv.model_provider import get_model

        try:
            model: nn.Module = get_model(name, in_size=(size, size))
        except TypeError:  # the only difference between the constructors
            model = get_model(name)
        _fit(model)
        return model

    return Case(name, build, lambda: _images(size))


def _fit(model: nn.Module) -> None:
    """A final pool over the 7 × 7 that 224 × 224 leaves becomes one over whatever is left."""
    features = getattr(model, "features", None)
    if isinstance(getattr(features, "final_pool", None), nn.AvgPool2d):
        features.final_pool = nn.AdaptiveAvgPool2d(1)


def pytorchcv_cases() -> tuple[Case, ...]:
    """One model per family."""
    return tuple(map(_pytorchcv, SMALL.split()))
