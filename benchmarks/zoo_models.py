"""The architectures of the zoo: models that nobody wrote for gradlint, and where a defect goes into each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Architecture:
    """One architecture of one library."""

    name: str
    library: str
    call: str
    """Function or class that builds it, inside the library."""
    block: str
    """Dotted path, within the configuration that defects are planted in, of a module in its middle whose (first)
    output everything after it depends on."""
    width: int
    """Channels of that output."""
    last: bool = True
    """Whether the channels are the last dimension of that output, or its second one."""
    config: str = ""
    """Configuration class, for transformers."""
    tiny: Mapping[str, Any] = field(default_factory=dict)
    """Settings of a small configuration; the default one has none."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Settings of every configuration."""
    quick: bool = False
    """Whether it is part of `--quick`."""


def _vision(name: str, block: str, width: int, **rest: Any) -> Architecture:
    return Architecture(name, "torchvision", f"models.{name}", block, width, **{"last": False, **rest})


TORCHVISION = (
    _vision("alexnet", "features.7", 384),
    _vision("vgg16", "features.16", 256),
    _vision("resnet18", "layer2", 128, quick=True),
    _vision("resnext50_32x4d", "layer2", 512),
    _vision("wide_resnet50_2", "layer2", 512),
    _vision("mobilenet_v2", "features.10", 64, quick=True),
    _vision("mobilenet_v3_small", "features.6", 40),
    _vision("efficientnet_b0", "features.4", 80),
    _vision("efficientnet_v2_s", "features.4", 128),
    _vision("densenet121", "features.transition2", 256),
    _vision("inception_v3", "Mixed_5d", 288),
    _vision("googlenet", "inception4a", 512),
    _vision("shufflenet_v2_x1_0", "stage3", 232),
    _vision("squeezenet1_1", "features.7", 256),
    _vision("mnasnet1_0", "layers.10", 80),
    _vision("regnet_y_400mf", "trunk_output.block2", 104),
    _vision("vit_b_16", "encoder.layers.encoder_layer_5", 768, last=True, options={"image_size": 64}),
    _vision("swin_t", "features.3", 192, last=True),
    _vision("swin_v2_t", "features.3", 192, last=True),
    _vision("convnext_tiny", "features.3", 192, quick=True),
    _vision("maxvit_t", "blocks.1", 128),
    _vision("segmentation.fcn_resnet50", "backbone.layer2", 512, options={"weights_backbone": None}),
    _vision("segmentation.deeplabv3_resnet50", "backbone.layer2", 512, options={"weights_backbone": None}),
    _vision("video.r3d_18", "layer2", 128),
    _vision("video.mvit_v2_s", "blocks.7", 384, last=True),
)

_TEXT = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128, "vocab_size": 300,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_GROUPED = {**_TEXT, "num_key_value_heads": 2}
_IMAGE = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 128, "image_size": 64,
    "patch_size": 8,
}  # fmt: skip


_GPT2 = {
    "n_embd": 64, "n_layer": 4, "n_head": 4, "vocab_size": 300, "n_positions": 64, "bos_token_id": 0,
    "eos_token_id": 1,
}  # fmt: skip
_OPT = {
    "hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "ffn_dim": 128, "vocab_size": 300,
    "word_embed_proj_dim": 64,
}  # fmt: skip
_T5 = {"d_model": 64, "d_kv": 16, "d_ff": 128, "num_layers": 3, "num_heads": 4, "vocab_size": 300}
_BART = {
    "d_model": 64, "encoder_layers": 3, "decoder_layers": 3, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_ffn_dim": 128, "vocab_size": 300,
}  # fmt: skip
_WHISPER = {
    **_BART, "num_mel_bins": 16, "max_source_positions": 50, "max_target_positions": 32, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "suppress_tokens": None,
    "begin_suppress_tokens": None,
}  # fmt: skip
_WAV2VEC2 = {
    **_TEXT, "conv_dim": [32, 32, 32], "conv_stride": [5, 2, 2], "conv_kernel": [10, 3, 3],
    "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4,
}  # fmt: skip
_SWIN = {"embed_dim": 32, "depths": [2, 2], "num_heads": [2, 4], "image_size": 64, "window_size": 4}
_DISTILBERT = {"dim": 64, "n_layers": 4, "n_heads": 4, "hidden_dim": 128, "vocab_size": 300}
_DEBERTA = {**_TEXT, "relative_attention": True, "position_buckets": 16, "pos_att_type": ["p2c", "c2p"]}
_BLOOM = {"hidden_size": 64, "n_layer": 4, "n_head": 4, "vocab_size": 300}
_MAMBA = {"hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 300, "state_size": 8}
_CONVNEXT = {"hidden_sizes": [32, 64, 96, 128], "depths": [1, 1, 2, 1]}
_XLNET = {"d_model": 64, "n_layer": 4, "n_head": 4, "d_inner": 128, "vocab_size": 300}


def _hf(name: str, block: str, tiny: Mapping[str, Any], *, head: str = "ForCausalLM", **rest: Any) -> Architecture:
    """A transformers model; `name` is the prefix of its classes."""
    known = {"width": 64, "config": f"{name}Config", "tiny": tiny, **rest}
    return Architecture(name, "transformers", f"{name}{head}", block, **known)


TRANSFORMERS = (
    _hf("Bert", "bert.encoder.layer.1", _TEXT, head="ForMaskedLM", quick=True),
    _hf("Roberta", "roberta.encoder.layer.1", _TEXT, head="ForSequenceClassification"),
    _hf("Electra", "electra.encoder.layer.1", _TEXT, head="ForMaskedLM"),
    _hf("Albert", "albert.encoder.embedding_hidden_mapping_in", {**_TEXT, "embedding_size": 32}, head="ForMaskedLM"),
    _hf("DistilBert", "distilbert.transformer.layer.1", _DISTILBERT, head="ForMaskedLM"),
    _hf("DebertaV2", "deberta.encoder.layer.1", _DEBERTA, head="ForMaskedLM"),
    _hf("GPT2", "transformer.h.1", _GPT2, head="LMHeadModel", quick=True),
    _hf("GPTNeoX", "gpt_neox.layers.1", _TEXT),
    _hf("OPT", "model.decoder.layers.1", _OPT),
    _hf("Bloom", "transformer.h.1", _BLOOM),
    _hf("Falcon", "transformer.h.1", _TEXT),
    _hf("Llama", "model.layers.1", _GROUPED, quick=True),
    _hf("Mistral", "model.layers.1", _GROUPED),
    _hf("Qwen2", "model.layers.1", _GROUPED),
    _hf("Qwen3", "model.layers.1", {**_GROUPED, "head_dim": 16}),
    _hf("Gemma2", "model.layers.1", {**_GROUPED, "head_dim": 16}),
    _hf("Phi", "model.layers.1", _TEXT),
    _hf("Mixtral", "model.layers.1", {**_GROUPED, "num_local_experts": 4}),
    _hf("Mamba", "backbone.layers.1", _MAMBA),
    _hf("T5", "encoder.block.1", _T5, head="ForConditionalGeneration"),
    _hf("Bart", "model.encoder.layers.1", _BART, head="ForConditionalGeneration"),
    _hf("ViT", "vit.layers.1", _IMAGE, head="ForImageClassification"),
    _hf("Swin", "swin.encoder.layers.0", _SWIN, head="ForImageClassification"),
    _hf("ConvNext", "convnext.encoder.stages.1", _CONVNEXT, head="ForImageClassification", last=False),
    _hf("Wav2Vec2", "wav2vec2.encoder.layers.1", _WAV2VEC2, head="ForCTC"),
    _hf("Whisper", "model.encoder.layers.1", _WHISPER, head="ForConditionalGeneration"),
    _hf("XLNet", "transformer.layer.1", _XLNET, head="LMHeadModel"),
)

ZOO = TORCHVISION + TRANSFORMERS
