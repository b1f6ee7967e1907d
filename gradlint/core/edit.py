"""What-if edits: small changes of a traced graph whose effect can be predicted, and measured."""

from dataclasses import dataclass
from enum import StrEnum


class EditKind(StrEnum):
    """The remedies that a what-if can try."""

    ACTIVATION = "activation"  # nodes: the activations; detail: operator to put in ("relu", "gelu", "tanh", …)
    INIT_GAIN = "init-gain"  # parameters: weights; detail: "kaiming" | "xavier" | "lecun" | "orthogonal"
    NORM = "norm"  # nodes: a norm is put before each; detail: "batch_norm" | "layer_norm"
    SKIP = "skip"  # spans: (first, last) node pairs: the input of first is added to the output of last
    GATED = "gated"  # nodes: rnn nodes; detail: "lstm" | "gru"
    REMOVE = "remove"  # nodes: each is replaced by its first input


@dataclass(frozen=True, slots=True)
class Edit:
    """One change; `text` is how a report names it ("nn.GELU instead of nn.Sigmoid")."""

    kind: EditKind
    text: str
    nodes: tuple[str, ...] = ()
    parameters: tuple[str, ...] = ()
    spans: tuple[tuple[str, str], ...] = ()
    detail: str = ""
