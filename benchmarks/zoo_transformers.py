"""The transformers architectures whose flow is measured: small configurations, random weights, nothing downloaded."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from accuracy_models import Case, Inputs
from torch import nn
from zoo_models import TRANSFORMERS

BATCH = 8
Settings = Mapping[str, Any]

TINY = {architecture.name: architecture.tiny for architecture in TRANSFORMERS}
_TEXT, _GROUPED, _IMAGE, _BART = TINY["Bert"], TINY["Llama"], TINY["ViT"], TINY["Bart"]
_GPT2, _T5, _MAMBA, _WAV2VEC2 = TINY["GPT2"], TINY["T5"], TINY["Mamba"], TINY["Wav2Vec2"]


def _ids() -> Inputs:
    return {"input_ids": torch.randint(5, 300, (BATCH, 32))}


def _pairs() -> Inputs:
    return {**_ids(), "decoder_input_ids": torch.randint(5, 300, (BATCH, 16))}


def _pixels() -> Inputs:
    return {"pixel_values": torch.randn(BATCH, 3, 64, 64)}


def _wave() -> Inputs:
    return {"input_values": torch.randn(BATCH, 2000)}


def _mel() -> Inputs:
    return {"input_features": torch.randn(BATCH, 16, 100), "decoder_input_ids": torch.randint(5, 300, (BATCH, 16))}


def _spectrogram() -> Inputs:
    return {"input_values": torch.randn(BATCH, 64, 64)}


def _both() -> Inputs:
    return {**_ids(), **_pixels()}


_HEADS = {"head_dim": 16}
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64}
_MOE = {**_GROUPED, **_EXPERTS}
_PYRAMID = {"num_attention_heads": [1, 2, 4, 8], "hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 2, 1]}
_LATENT = {
    **_TEXT,
    "kv_lora_rank": 32,
    "q_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
    "n_routed_experts": 4,
    "n_group": 1,
    "topk_group": 1,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 64,
    "first_k_dense_replace": 1,
    "num_key_value_heads": 4,
}
_FSMT = {**_BART, "src_vocab_size": 300, "tgt_vocab_size": 300, "langs": ["en", "de"]}
_CLIP = {
    "text_config": {**_TEXT, "projection_dim": 64},
    "vision_config": {**_IMAGE, "projection_dim": 64},
    "projection_dim": 64,
}
_CONVS = {"depths": [1, 1, 2, 1], "hidden_sizes": [32, 64, 96, 128], "embedding_size": 32}

TEXT = ["Bert", "Roberta", "Electra", "Camembert", "Ernie", "MegatronBert", "RoFormer", "RemBert", "MPNet", "Esm"]
CAUSAL = ["GPTNeoX", "Falcon", "Phi", "Persimmon", "BioGpt", "XGLM"]
GROUPED = [
    "Llama",
    "Mistral",
    "Qwen2",
    "Gemma",
    "Cohere",
    "Olmo",
    "Olmo2",
    "Starcoder2",
    "Granite",
    "Nemotron",
    "Phi3",
    "SmolLM3",
    "Arcee",
    "BitNet",
    "StableLm",
    "SeedOss",
]

Entry = tuple[str, str, Settings, Callable[[], Inputs]]

ENTRIES: tuple[Entry, ...] = (
    *((name, "ForMaskedLM", _TEXT, _ids) for name in TEXT),
    *((name, "ForCausalLM", _TEXT, _ids) for name in CAUSAL),
    *((name, "ForCausalLM", _GROUPED, _ids) for name in GROUPED),
    *((name, "ForCausalLM", {**_GROUPED, **_HEADS}, _ids) for name in ("Qwen3", "Gemma2", "Helium", "Glm")),
    ("Albert", "ForMaskedLM", {**_TEXT, "embedding_size": 32}, _ids),
    ("DistilBert", "ForMaskedLM", TINY["DistilBert"], _ids),
    ("DebertaV2", "ForMaskedLM", TINY["DebertaV2"], _ids),
    ("Deberta", "ForMaskedLM", {**_TEXT, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]}, _ids),
    ("SqueezeBert", "ForMaskedLM", {**_TEXT, "embedding_size": 64}, _ids),
    ("ConvBert", "ForMaskedLM", {**_TEXT, "embedding_size": 64}, _ids),
    ("MobileBert", "ForMaskedLM", {**_TEXT, "embedding_size": 64, "intra_bottleneck_size": 32}, _ids),
    ("FNet", "ForMaskedLM", _TEXT, _ids),
    (
        "Funnel",
        "ForMaskedLM",
        {"d_model": 64, "n_head": 4, "d_head": 16, "d_inner": 128, "vocab_size": 300, "block_sizes": [2, 2]},
        _ids,
    ),
    ("Longformer", "ForMaskedLM", {**_TEXT, "attention_window": [16] * 4, "max_position_embeddings": 128}, _ids),
    ("BigBird", "ForMaskedLM", {**_TEXT, "attention_type": "original_full"}, _ids),
    ("Nystromformer", "ForMaskedLM", {**_TEXT, "num_landmarks": 8, "segment_means_seq_len": 32}, _ids),
    ("ModernBert", "ForMaskedLM", _TEXT, _ids),
    ("NomicBert", "ForMaskedLM", _TEXT, _ids),
    ("EuroBert", "ForMaskedLM", _GROUPED, _ids),
    ("LayoutLM", "ForMaskedLM", _TEXT, _ids),
    ("IBert", "ForMaskedLM", _TEXT, _ids),
    ("XLMRobertaXL", "ForMaskedLM", _TEXT, _ids),
    ("RobertaPreLayerNorm", "ForMaskedLM", _TEXT, _ids),
    ("GPT2", "LMHeadModel", _GPT2, _ids),
    (
        "GPTNeo",
        "ForCausalLM",
        {
            "hidden_size": 64,
            "num_layers": 4,
            "num_heads": 4,
            "vocab_size": 300,
            "attention_types": [[["global", "local"], 2]],
            "window_size": 8,
        },
        _ids,
    ),
    ("GPTJ", "ForCausalLM", {**_GPT2, "rotary_dim": 8}, _ids),
    ("CodeGen", "ForCausalLM", {**_GPT2, "rotary_dim": 8}, _ids),
    ("GPTBigCode", "ForCausalLM", _GPT2, _ids),
    ("OpenAIGPT", "LMHeadModel", _GPT2, _ids),
    ("CTRL", "LMHeadModel", {"n_embd": 64, "n_layer": 4, "n_head": 4, "dff": 128, "vocab_size": 300}, _ids),
    ("OPT", "ForCausalLM", TINY["OPT"], _ids),
    ("Bloom", "ForCausalLM", TINY["Bloom"], _ids),
    ("Mpt", "ForCausalLM", {"d_model": 64, "n_layers": 4, "n_heads": 4, "vocab_size": 300}, _ids),
    ("XLNet", "LMHeadModel", TINY["XLNet"], _ids),
    ("XLM", "WithLMHeadModel", {"emb_dim": 64, "n_layers": 4, "n_heads": 4, "n_words": 300}, _ids),
    ("Mixtral", "ForCausalLM", _MOE, _ids),
    ("Qwen2Moe", "ForCausalLM", {**_MOE, "shared_expert_intermediate_size": 64}, _ids),
    ("Qwen3Moe", "ForCausalLM", {**_MOE, **_HEADS}, _ids),
    ("Olmoe", "ForCausalLM", _MOE, _ids),
    ("GptOss", "ForCausalLM", {**_MOE, **_HEADS}, _ids),
    ("GraniteMoe", "ForCausalLM", _MOE, _ids),
    ("DeepseekV2", "ForCausalLM", _LATENT, _ids),
    ("DeepseekV3", "ForCausalLM", _LATENT, _ids),
    ("DiffLlama", "ForCausalLM", _GROUPED, _ids),
    ("Mamba", "ForCausalLM", _MAMBA, _ids),
    ("Mamba2", "ForCausalLM", {**_MAMBA, "num_heads": 8, "head_dim": 16, "n_groups": 1, "chunk_size": 16}, _ids),
    ("FalconMamba", "ForCausalLM", _MAMBA, _ids),
    ("Rwkv", "ForCausalLM", {"hidden_size": 64, "num_hidden_layers": 4, "vocab_size": 300, "context_length": 32}, _ids),
    ("RecurrentGemma", "ForCausalLM", {**_GROUPED, "lru_width": 64, "attention_window_size": 16}, _ids),
    ("Lfm2", "ForCausalLM", {**_GROUPED, "layer_types": ["conv", "full_attention"] * 2}, _ids),
    ("T5", "ForConditionalGeneration", _T5, _pairs),
    ("MT5", "ForConditionalGeneration", _T5, _pairs),
    ("UMT5", "ForConditionalGeneration", _T5, _pairs),
    ("LongT5", "ForConditionalGeneration", {**_T5, "local_radius": 7}, _pairs),
    ("SwitchTransformers", "ForConditionalGeneration", {**_T5, "num_experts": 4, "num_decoder_layers": 3}, _pairs),
    ("Bart", "ForConditionalGeneration", _BART, _pairs),
    ("MBart", "ForConditionalGeneration", _BART, _pairs),
    ("Blenderbot", "ForConditionalGeneration", _BART, _pairs),
    ("Pegasus", "ForConditionalGeneration", _BART, _pairs),
    ("PegasusX", "ForConditionalGeneration", {**_BART, "num_global_tokens": 4, "block_size": 16}, _pairs),
    ("LED", "ForConditionalGeneration", {**_BART, "attention_window": 16}, _pairs),
    ("M2M100", "ForConditionalGeneration", _BART, _pairs),
    ("Marian", "MTModel", {**_BART, "pad_token_id": 0, "decoder_start_token_id": 1}, _pairs),
    (
        "ProphetNet",
        "ForConditionalGeneration",
        {
            "hidden_size": 64,
            "num_encoder_layers": 2,
            "num_decoder_layers": 2,
            "num_encoder_attention_heads": 4,
            "num_decoder_attention_heads": 4,
            "encoder_ffn_dim": 128,
            "decoder_ffn_dim": 128,
            "vocab_size": 300,
        },
        _pairs,
    ),
    ("FSMT", "ForConditionalGeneration", _FSMT, _pairs),
    ("ViT", "ForImageClassification", _IMAGE, _pixels),
    ("DeiT", "ForImageClassification", _IMAGE, _pixels),
    ("Beit", "ForImageClassification", _IMAGE, _pixels),
    ("Dinov2", "ForImageClassification", {**_IMAGE, "mlp_ratio": 2}, _pixels),
    ("ViTMSN", "ForImageClassification", _IMAGE, _pixels),
    ("Siglip", "Model", _CLIP, _both),
    ("CLIP", "Model", _CLIP, _both),
    ("Swin", "ForImageClassification", TINY["Swin"], _pixels),
    ("Swinv2", "ForImageClassification", TINY["Swin"], _pixels),
    ("ConvNext", "ForImageClassification", TINY["ConvNext"], _pixels),
    ("ConvNextV2", "ForImageClassification", TINY["ConvNext"], _pixels),
    ("PoolFormer", "ForImageClassification", {"hidden_sizes": [16, 32, 64, 128], "depths": [1, 1, 2, 1]}, _pixels),
    ("Segformer", "ForSemanticSegmentation", {**_PYRAMID, "decoder_hidden_size": 64}, _pixels),
    ("Pvt", "ForImageClassification", {**_PYRAMID, "image_size": 64}, _pixels),
    ("PvtV2", "ForImageClassification", {**_PYRAMID, "image_size": 64}, _pixels),
    (
        "Levit",
        "ForImageClassification",
        {"image_size": 64, "hidden_sizes": [64, 96, 128], "num_attention_heads": [4, 6, 8], "depths": [2, 2, 2]},
        _pixels,
    ),
    ("FocalNet", "ForImageClassification", {"embed_dim": 32, "depths": [1, 1, 2, 1], "image_size": 64}, _pixels),
    (
        "MobileViT",
        "ForImageClassification",
        {
            "hidden_sizes": [48, 64, 80],
            "image_size": 64,
            "num_attention_heads": 4,
            "neck_hidden_sizes": [16, 16, 32, 48, 64, 80, 160],
        },
        _pixels,
    ),
    ("MobileViTV2", "ForImageClassification", {"image_size": 64, "width_multiplier": 0.5}, _pixels),
    ("SwiftFormer", "ForImageClassification", {"embed_dims": [32, 48, 64, 96], "depths": [1, 1, 2, 1]}, _pixels),
    ("RegNet", "ForImageClassification", _CONVS, _pixels),
    ("ResNet", "ForImageClassification", _CONVS, _pixels),
    (
        "Hiera",
        "ForImageClassification",
        {"embed_dim": 32, "image_size": [64, 64], "depths": [1, 1, 2, 1], "query_stride": [2, 2]},
        _pixels,
    ),
    ("Wav2Vec2", "ForCTC", _WAV2VEC2, _wave),
    ("Hubert", "ForCTC", _WAV2VEC2, _wave),
    ("WavLM", "ForCTC", _WAV2VEC2, _wave),
    ("UniSpeech", "ForCTC", _WAV2VEC2, _wave),
    ("SEW", "ForCTC", _WAV2VEC2, _wave),
    ("Wav2Vec2Conformer", "ForCTC", _WAV2VEC2, _wave),
    ("Data2VecAudio", "ForCTC", _WAV2VEC2, _wave),
    ("Whisper", "ForConditionalGeneration", TINY["Whisper"], _mel),
    (
        "AST",
        "ForAudioClassification",
        {**_IMAGE, "max_length": 64, "num_mel_bins": 64, "time_stride": 8, "frequency_stride": 8},
        _spectrogram,
    ),
)


def _case(name: str, head: str, settings: Settings, inputs: Callable[[], Inputs]) -> Case:
    def build() -> nn.Module:
        import transformers

        return getattr(transformers, f"{name}{head}")(getattr(transformers, f"{name}Config")(**settings))

    return Case(name, build, inputs)


def cases() -> tuple[Case, ...]:
    """All of them."""
    return tuple(_case(*entry) for entry in ENTRIES)
