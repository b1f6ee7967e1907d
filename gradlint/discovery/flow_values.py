"""What a name of the file can stand for while its statements are followed in order."""

import ast
from dataclasses import dataclass, replace

from gradlint.discovery.modules import is_torch_module
from gradlint.discovery.names import Names


@dataclass(frozen=True, slots=True)
class ModelValue:
    """A model: which candidate, and which recorded construction made it (None: the class's own `self`, a parameter)."""

    candidate: str
    construction: int | None = None


@dataclass(frozen=True, slots=True)
class OutputValue:
    """What a model returned, and the functions that have been applied to it since."""

    candidate: str
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LossValue:
    """A loss that waits to be applied."""

    name: str
    line: int
    column: int


Value = ModelValue | OutputValue | LossValue | None

LOSS_FUNCTIONS = frozenset(
    [
        "cross_entropy",
        "nll_loss",
        "binary_cross_entropy",
        "binary_cross_entropy_with_logits",
        "mse_loss",
        "l1_loss",
        "smooth_l1_loss",
        "huber_loss",
        "kl_div",
        "ctc_loss",
        "poisson_nll_loss",
        "gaussian_nll_loss",
        "hinge_embedding_loss",
        "multilabel_margin_loss",
        "multilabel_soft_margin_loss",
        "multi_margin_loss",
        "soft_margin_loss",
        "triplet_margin_loss",
        "margin_ranking_loss",
        "cosine_embedding_loss",
    ]
)
"""Functions of `torch.nn.functional` that are losses of their first argument."""

RESHAPING = frozenset(
    [
        "view",
        "reshape",
        "squeeze",
        "unsqueeze",
        "flatten",
        "transpose",
        "permute",
        "contiguous",
        "float",
        "double",
        "half",
        "to",
        "cuda",
        "cpu",
        "type",
        "clone",
        "type_as",
        "swapaxes",
        "mT",
        "T",
        "movedim",
        "requires_grad_",
        "retain_grad",
    ]
)
"""Methods after which a model's output is still the model's output."""

MODEL_WRAPPERS = frozenset("DataParallel DistributedDataParallel compile script".split())  # noqa: SIM905
MODEL_METHODS = frozenset("to cuda cpu train eval double float half apply requires_grad_ xpu share_memory".split())  # noqa: SIM905


def loss_name(dotted: str) -> str:
    """Class name of a loss of `torch.nn` ("CrossEntropyLoss"), empty for anything else."""
    head, _, last = dotted.rpartition(".")
    return last if head == "torch.nn" and last.endswith("Loss") else ""


def loss_function(dotted: str) -> str:
    """Name of a loss function of `torch.nn.functional` ("cross_entropy"), empty for anything else."""
    head, _, last = dotted.rpartition(".")
    return last if head == "torch.nn.functional" and last in LOSS_FUNCTIONS else ""


def passed_through(output: OutputValue, call: ast.Call, names: Names) -> Value:
    """What a call of torch makes of an output that it is given: `torch.exp(out)`, `nn.Softmax(-1)(out)`."""
    dotted = names.dotted(call.func)
    if dotted.startswith("torch."):
        last = dotted.rpartition(".")[2]
        return output if last in RESHAPING else replace(output, through=(*output.through, last))
    made = names.dotted(call.func.func) if isinstance(call.func, ast.Call) else ""
    return (
        replace(output, through=(*output.through, made.rpartition(".")[2].lower())) if is_torch_module(made) else None
    )
