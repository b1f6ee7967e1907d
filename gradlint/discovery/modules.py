"""Which classes of a file are (or could be) `nn.Module`s."""

import ast

from gradlint.discovery.names import Names, flat_statements

Definitions = dict[str, ast.ClassDef | ast.FunctionDef]

_NOT_MODULES = ("torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.parallel", "torch.nn.attention")
_OTHER_BASES = ("DataModule", "Function", "Dataset", "Sampler", "Optimizer", "Scheduler", "Callback", "Config")
_WITHOUT_PARAMETERS = frozenset(
    [
        "ReLU",
        "ReLU6",
        "LeakyReLU",
        "ELU",
        "SELU",
        "CELU",
        "GELU",
        "SiLU",
        "Mish",
        "Sigmoid",
        "Tanh",
        "Softmax",
        "LogSoftmax",
        "Softplus",
        "Hardtanh",
        "Hardswish",
        "Hardsigmoid",
        "LogSigmoid",
        "Softsign",
        "Tanhshrink",
        "Threshold",
        "GLU",
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
        "AlphaDropout",
        "Flatten",
        "Unflatten",
        "Identity",
        "Upsample",
        "PixelShuffle",
        "ZeroPad2d",
        "ReflectionPad2d",
        "CosineSimilarity",
        "PairwiseDistance",
    ]
)


def is_torch_module(dotted: str) -> bool:
    """Whether a dotted name is a module class of torch itself."""
    last = dotted.rpartition(".")[2]
    if dotted in ("torch.jit.ScriptModule", "torch.nn.parallel.DataParallel"):
        return True
    inside = dotted.startswith("torch.nn.") and not dotted.startswith(_NOT_MODULES)
    return inside and last[:1].isupper() and not last.startswith(("Parameter", "Buffer")) and not last.endswith("Loss")


def gives_parameters(dotted: str) -> bool:
    """Whether calling a dotted name gives a module that is worth being called a model."""
    last = dotted.rpartition(".")[2]
    return is_known_model(dotted) and last not in _WITHOUT_PARAMETERS and "Pool" not in last


def is_known_model(dotted: str) -> bool:
    """Whether a dotted name is a module class (or model function) of a framework."""
    package, last = dotted.partition(".")[0], dotted.rpartition(".")[2]
    if is_torch_module(dotted):
        return True
    if package in ("lightning", "pytorch_lightning") and last == "LightningModule":
        return True
    if package == "torchvision" and dotted.startswith("torchvision.models"):
        return True
    if dotted == "timm.create_model":
        return True
    return package == "transformers" and ("PreTrainedModel" in last or last.endswith("Model") or "For" in last)


def _unknown_base(dotted: str, has_forward: bool) -> bool:
    """Whether an imported class that nothing is known of is plausibly a module."""
    last = dotted.rpartition(".")[2]
    if last.endswith(_OTHER_BASES) or dotted.startswith(("torch.", "numpy.", "typing.", "enum.", "abc.")):
        return False
    return last.endswith(("Module", "PreTrainedModel")) or (has_forward and "." in dotted)


def definitions(tree: ast.Module) -> Definitions:
    """Top-level classes and functions by name (the last one of each name counts)."""
    found: Definitions = {}
    for statement in flat_statements(tree.body):
        if isinstance(statement, ast.ClassDef | ast.FunctionDef):
            found.pop(statement.name, None)
            found[statement.name] = statement
    return found


def module_classes(defs: Definitions, names: Names) -> dict[str, ast.ClassDef]:
    """Classes that could be `nn.Module`s, those that derive from another candidate of the file among them."""
    classes = {name: node for name, node in defs.items() if isinstance(node, ast.ClassDef)}
    found: dict[str, ast.ClassDef] = {}
    while True:
        new = {
            name: node
            for name, node in classes.items()
            if name not in found and any(_is_module_base(base, node, names, classes, found) for base in node.bases)
        }
        if not new:
            return {name: node for name, node in classes.items() if name in found}
        found.update(new)


def _is_module_base(
    base: ast.expr, node: ast.ClassDef, names: Names, classes: dict[str, ast.ClassDef], found: dict[str, ast.ClassDef]
) -> bool:
    if isinstance(base, ast.IfExp):  # pl.LightningModule if pl is not None else nn.Module
        return any(_is_module_base(choice, node, names, classes, found) for choice in (base.body, base.orelse))
    if isinstance(base, ast.Name) and base.id in classes and base.id not in names.aliases:
        return base.id in found
    dotted = names.dotted(base)
    return is_known_model(dotted) or _unknown_base(dotted, has_method(node, "forward"))


def has_method(node: ast.ClassDef, name: str) -> bool:
    """Whether a class defines a method itself."""
    return any(isinstance(child, ast.FunctionDef) and child.name == name for child in node.body)
