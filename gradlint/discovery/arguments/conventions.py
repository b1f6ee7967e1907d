"""Sizes that a parameter of a certain name usually has. They are chosen to fit one another: a width is divisible by the
number of heads, an image by its patches; and small, since a guess shall build quickly."""

import re
from dataclasses import dataclass
from typing import Any

WIDTH = 256
_HEADS = 8
NORM = re.compile(r".*norm(_?(layer|cls|class|fn|type|func|op|name))?", re.IGNORECASE)
ACTIVATION = re.compile(r"(.*_)?(act|activ|activation|nonlin|nonlinearity)(_?(layer|cls|class|fn|type|func|op|name))?")
CONFIG = re.compile(r"(.*_)?(config|cfg|conf|args|opt|opts|params|hparams|settings|options)", re.IGNORECASE)
AMBIGUOUS = ("width", "size", "depth", "height")
"""Of an image, or of a layer: what they are handed to tells."""
PART = re.compile(
    r"(?!d_|dim_)(.*_)?(net|model|backbone|encoder|decoder|transformer|vit|student|teacher|generator|discriminator"
    r"|module|layer|trunk|stem|body|neck|extractor|network|mlp|unet|vae|block|attn|attention)"
)
"""Names of parameters that take a module."""


@dataclass(frozen=True, slots=True)
class Convention:
    """What a name stands for."""

    pattern: str
    value: Any
    is_width: bool = False
    """Whether it is a number of channels or features."""
    grows: bool = False
    """Whether a list of it doubles from stage to stage."""
    per_axis: bool = False
    """Whether a list of it has an entry for each axis of an image, unless its name is a plural."""
    is_image: bool = False
    """Whether it is the side of an image."""
    shorter: bool = False
    """Whether a list of it belongs between the stages: one less than there are stages."""


CONVENTIONS = (
    Convention(r"(num|n)_?(classes|class|labels|categories)|n?class(es)?|nc_out|out_classes|label_nc", 10),
    Convention(r"(num|n)_?(tokens?|embeddings|words|embed|e)|(src_|tgt_|trg_)?vocab(_size)?|n_?vocab|ntokens?", 1000),
    Convention(r"(max_?)?(seq|sequence|context|block|text|src|tgt)_?(len|length|size)|max_?(len|length)|n_ctx"
               r"|(max_|n_)?position(s|_embeddings)|positive_len", 256),
    Convention(r"(num_?)?(train_)?(timesteps|diffusion_steps)|max_period|num_steps", 1000),
    Convention(r".*pad(ding)?_(idx|id|token|index|token_id)|pad"
               r"|.*(bos|eos|mask|sos|start|stop)_(id|idx|token|index)", 0),
    Convention(r"batch(_?size)?|bs|b", 8),
    Convention(r"(frame|temporal|time|tubelet)_patch(_size)?|tubelet_size", 2),
    Convention(r"patch(_?size)?|.*_patch_size|patch_(h|w|height|width)", 16, per_axis=True),
    Convention(r"(num_?)?frames|n_frames|.*temporal_(size|length)|clip_len(gth)?|depth_size", 8),
    Convention(r"window_?size|.*window", 8, per_axis=True),
    Convention(r"(.*(image|img|input_image|sample|spatial|fmap|feature_map))_?(size|dim|resolution|res|shape)?"
               r"|(input_)?resolution|height|width|h|w|(input|in|out|output)_shape|size",
               224, per_axis=True, is_image=True),
    Convention(r"spatial_dims|n_?dims?|dimensions?|rank", 2),
    Convention(r"(dim|d|size)_?(per_)?head|head_(dim|size|channels)|.*_head_dim|d_k|d_v|d_head", WIDTH // _HEADS),
    Convention(r"(num|n)?_?(attention_|attn_|kv_|query_|key_value_)*heads?|nhead|.*_(num_)?heads", _HEADS, grows=True),
    Convention(r"kernel(_?size)?|ksize?|k|.*_kernel(_size)?|filter_size|kernel_sizes|conv_kernel", 3, per_axis=True),
    Convention(r"stride(s)?|.*_stride(s)?|sr_ratio|upsample_rates?|downsample", 2, per_axis=True, shorter=True),
    Convention(r"padding|p|pads", 1, per_axis=True),
    Convention(r"dilations?|dilation_rates?|rate|groups?|cardinality|order|bits|.*groups_conv", 1, per_axis=True),
    Convention(r"num_groups|norm_num_groups|group_norm_groups|n_groups|num_norm_groups", 8),
    Convention(r"atrous_rates", 6),
    Convention(r".*(drop|dropout|dropout_rate|drop_rate|drop_path|drop_prob|dropout_prob|keep_prob)"
               r"(_p|_?rates?)?", 0.1),
    Convention(r"(.*_)?eps(ilon)?", 1e-5),
    Convention(r"momentum|decay|.*masking_(ratio|prob)|mask_ratio|beta|commitment_cost|alpha|gamma", 0.25),
    Convention(r"temperature|scale|scaling|.*_weight|lr|threshold|.*_threshold|.*scaling_factor_value", 1.0),
    Convention(r"(.*_)?(scale_factor|upscale(_factor)?|upsampling_scaling_factor|up_?scale|factor|mult|multiplier)"
               r"|.*compression_ratio", 2),
    Convention(r"reduction(_ratio|_factor)?|r|squeeze(_factor)?|se_ratio|bottleneck|expansion|expand(_ratio|_factor)?"
               r"|mlp_(ratio|mult)|ff_mult|top_?k|num_experts_per_tok|(num|n)_(experts?|slots|scales|hierarchies|d)"
               r"|num_layers_d|max_tokens_per_depth", 4),
    Convention(r"growth(_rate)?|k_?0", 32, is_width=True),
    Convention(r"(in|input|img|image|n_input)_?(chans?|channels?|ch|c|nc|planes)|c_?in|n?_?channels|nc|inp_channels"
               r"|chan_in|channels_img|img_channels|inchannels?|color_channels", 3, is_width=True, grows=True),
    Convention(r"(mlp|ff|ffn|feed_?forward|intermediate|inner)_?(hidden_?)?(dim|size|channels|features)?|d_ff|dff"
               r"|dim_(feed_?forward|mlp|ff)|d_inner", 4 * WIDTH, is_width=True),
    Convention(r"(.*_)?(depths?|repeats|repetitions)|(num|n)?_?(.*_)?(layers?|blocks?|stages|levels|units|convs)"
               r"|nlayers|num_.*_layers|layers_per_.*|(num|n)_?res.*|block_repeats|N|L", 4),
    Convention(r"(latent|z|noise|code|bottleneck)_?(dim|size|channels|features)?|nz", 64, is_width=True),
    Convention(r"(input|in|obs|observation|state|feature|x|n|num)_?(dim|size|features|feat|feats|dims|feature|inputs)"
               r"|in_features|feat_dim|nfeat|num_node_features|node_dim|n_in|d_in|dim_in|ninp", 64, is_width=True),
    Convention(r"(action|act|num|n)_?(dim|actions|outputs)", 8),
    Convention(r"(output|out)_?(dim|size|features)|out_features|dim_out|n_out|nout|d_out", 64, is_width=True),
    Convention(r"(.*_)?(channels?|chans|planes|filters|features|feats|maps|nf|ngf|ndf|nf|ch|nfilters?)(_list|_.*)?"
               r"|(num|n)_(filters|channels|features|feat|kernels).*|inplanes|planes|base_ch|chan_out|outplanes", 64,
               is_width=True, grows=True),
    Convention(r"(.*_)?(dims?|d_model|width|hidden|hiddens?|nhid|units|embd|embedding|embed|size|emsize|dim_.*|n_state)",
               WIDTH, is_width=True, grows=True),
)  # fmt: skip
"""The first one whose pattern is the whole name counts."""


def convention_of(*names: str) -> Convention | None:
    """The convention that the first of these names with one follows."""
    for name in names:
        plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).strip("_")
        for convention in CONVENTIONS:
            if re.fullmatch(convention.pattern, plain) or re.fullmatch(convention.pattern, plain.lower()):
                return convention
    return None
