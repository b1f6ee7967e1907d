"""Families of operators, by canonical name."""

CONVOLUTIONS = frozenset({"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"})
MAPS = CONVOLUTIONS | {"linear"}
"""Linear maps with weights of their own."""

CONTRACTIONS = MAPS | {"bilinear", "addmm", "matmul", "mm", "bmm", "baddbmm", "einsum", "tensordot"}
"""Whatever may apply a weight to the signal."""

LOOKUPS = frozenset({"embedding", "embedding_bag"})
"""Rows of a table by their number."""

NORMS = frozenset(
    {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize", "local_response_norm"}
)
SAMPLE_NORMS = frozenset({"layer_norm", "group_norm", "instance_norm", "rms_norm"})
"""Those that look at one sample at a time."""
RECURRENT = frozenset(
    {"rnn_tanh", "rnn_relu", "lstm", "gru", "rnn_tanh_cell", "rnn_relu_cell", "lstm_cell", "gru_cell"}
)

DROPOUT = frozenset({"dropout", "alpha_dropout", "feature_dropout", "dropout1d", "dropout2d", "dropout3d"})
_VIEWS = frozenset({"reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as"})
_COPIES = frozenset({"contiguous", "clone", "to", "type_as", "positive", "identity", "alias"})
_TURNS = frozenset({"permute", "transpose", "movedim", "t", "T", "mT"})

LAYOUT = DROPOUT | _VIEWS | _COPIES | _TURNS | {"expand"}
"""Operators that show the same values in another shape, order or type (dropout counts as the identity)."""

NOTHING_BETWEEN = DROPOUT | _VIEWS | _COPIES | {"pad"}
"""Operators that leave two linear maps next to each other."""
