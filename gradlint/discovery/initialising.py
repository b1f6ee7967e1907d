"""Which code writes initial values into a model's parameters, and which code trains it instead."""

import ast
import re
from collections.abc import Mapping

Functions = Mapping[str, ast.FunctionDef]

_FILLING = frozenset(
    [
        "normal_", "uniform_", "zero_", "fill_", "copy_", "mul_", "div_", "add_", "sub_", "constant_", "ones_",
        "zeros_", "eye_", "eye", "dirac_", "xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_",
        "trunc_normal_", "orthogonal_", "sparse_", "cauchy_", "exponential_", "log_normal_", "bernoulli_", "random_",
        "clamp_", "reset_parameters",
    ]
)  # fmt: skip
_OF_INIT = re.compile(r"(^|\.)init\.\w+$")
TRAINING = frozenset("backward step zero_grad fit".split())  # noqa: SIM905
"""Methods that steps of training call."""
_SAYS_INIT = re.compile(r"init|reset|xavier|kaiming|glorot|orthogonal|weight", re.IGNORECASE)
_OF_WEIGHTS = re.compile(
    r"init\w*_?(weight|param|net|model|layer|module|conv)|(weight|param|net|model|layer)s?_?init|^_?init(iali[sz]e)?$",
    re.IGNORECASE,
)
_PARTS = frozenset("modules parameters named_modules named_parameters children named_children".split())  # noqa: SIM905
_WRITTEN = (".data", ".weight", ".bias")
_DEPTH = 4


def initialises(node: ast.AST, functions: Functions, depth: int = _DEPTH) -> bool:
    """Whether a piece of code fills tensors in place, on its own or by calling functions of the file that do."""
    for leaf in ast.walk(node):
        if isinstance(leaf, ast.Assign | ast.AugAssign) and any(map(writes, targets_of(leaf))):
            return True
        if isinstance(leaf, ast.Call) and _call_initialises(leaf, functions, depth):
            return True
    return False


def _call_initialises(call: ast.Call, functions: Functions, depth: int) -> bool:
    if is_filling(call):
        return True
    if isinstance(call.func, ast.Attribute) and call.func.attr == "apply" and call.args:
        return gives_weights(call.args[0], functions, depth)
    known = functions.get(call.func.id) if isinstance(call.func, ast.Name) else None
    return known is not None and depth > 0 and initialises(known, functions, depth - 1)


def is_filling(call: ast.Call) -> bool:
    """Whether a call itself fills a tensor: `nn.init.zeros_(w)`, `w.data.normal_()`, `layer.reset_parameters()`."""
    text = ast.unparse(call.func)
    return text.rpartition(".")[2] in _FILLING or bool(_OF_INIT.search(text))


def gives_weights(function: ast.expr, functions: Functions, depth: int = _DEPTH) -> bool:
    """Whether what is given to `apply` initialises: by its body where that is known, else by its name."""
    if isinstance(function, ast.Lambda):
        return initialises(function.body, functions, depth)
    if isinstance(function, ast.Name) and function.id in functions:
        return depth > 0 and initialises(functions[function.id], functions, depth - 1)
    called = function.func if isinstance(function, ast.Call) else function  # weights_init("kaiming"), partial(init, …)
    arguments = function.args if isinstance(function, ast.Call) else []
    last = ast.unparse(called).rpartition(".")[2]
    return bool(_SAYS_INIT.search(last)) or any(_SAYS_INIT.search(ast.unparse(argument)) for argument in arguments)


def starts(function: ast.expr, functions: Functions) -> bool:
    """Whether a function that a model is handed to only initialises it: by its body, else by its name."""
    if isinstance(function, ast.Name) and function.id in functions:
        known = functions[function.id]
        return initialises(known, functions) and not trains(known)
    return says_weights(ast.unparse(function).rpartition(".")[2])


def says_weights(name: str) -> bool:
    """Whether a name says that weights are initialised (`init_weights`, `weight_init`; not `init_hidden`)."""
    return name == "reset_parameters" or bool(_OF_WEIGHTS.search(name))


def trains(node: ast.AST) -> bool:
    """Whether a piece of code takes steps of training."""
    calls = [leaf.func for leaf in ast.walk(node) if isinstance(leaf, ast.Call)]
    return any(isinstance(function, ast.Attribute) and function.attr in TRAINING for function in calls)


def targets_of(statement: ast.stmt) -> list[ast.expr]:
    """What an assignment writes to."""
    if isinstance(statement, ast.Assign):
        return statement.targets
    return [statement.target] if isinstance(statement, ast.AugAssign) else []


def writes(target: ast.expr) -> bool:
    """Whether an assignment to it gives a parameter other values: `model.fc.weight.data[0] = 1`."""
    while isinstance(target, ast.Subscript):
        target = target.value
    return isinstance(target, ast.Attribute) and ast.unparse(target).endswith(_WRITTEN)


def loops_over_parts(statement: ast.stmt, functions: Functions) -> ast.expr | None:
    """The model whose modules or parameters a loop initialises, one by one; None for any other statement."""
    if not isinstance(statement, ast.For):
        return None
    calls = [leaf for leaf in ast.walk(statement.iter) if isinstance(leaf, ast.Call)]
    parts = [c.func.value for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in _PARTS]
    if len(parts) != 1 or trains(statement) or any(_reads_gradient(leaf) for leaf in ast.walk(statement)):
        return None
    return parts[0] if any(initialises(child, functions) for child in statement.body) else None


def _reads_gradient(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "grad"
