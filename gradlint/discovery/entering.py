"""Methods that run a model which has no forward of its own: which ones do, and in which order they are likely meant."""

import ast
from collections.abc import Collection, Iterable

STEPS = ("training_step", "shared_step", "_shared_step", "_step", "step", "forward_train", "loss", "compute_loss")
"""Methods that do all that a model is trained by, likeliest first."""
ENTRIES = (*STEPS, "encode", "embed", "predict", "forward_features", "extract_features")
"""Methods that stand for a forward where there is none, likeliest first."""
_TELLING = ("self.log", "self.log_dict", "self.print")
_WITHOUT_GRADIENT = ("no_grad", "inference_mode")


def is_placeholder(method: ast.FunctionDef) -> bool:
    """Whether a method only says that others must define it."""
    texts = [ast.unparse(statement) for statement in method.body if not _is_docstring(statement)]
    return all(text in ("pass", "...") or text.startswith("raise NotImplementedError") for text in texts)


def runs_own_parts(method: ast.AST) -> bool:
    """Whether a method calls something that its object holds: `self.encoder(x)`, `self.layers[0](x)`."""
    return bool(_own_parts(method))


def others(methods: Iterable[ast.FunctionDef], called: Collection[str] = ()) -> list[str]:
    """Public methods under names of the author's own that are given something and run parts, likeliest first.

    Those that are `called` come first, and of these what runs most of the model; what cuts the gradient off (an agent
    that only acts) comes last.
    """
    telling = {method.name: method for method in methods if _is_own_entry(method)}

    def rank(method: ast.FunctionDef) -> tuple[bool, bool, int]:
        return _detaches(method), method.name not in called, -len(_own_parts(method))

    return [method.name for method in sorted(telling.values(), key=rank)]


def called_names(tree: ast.Module) -> frozenset[str]:
    """Names and attributes that a file calls, but for what objects call of themselves."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name)):
                found.add(name)
            case ast.Call(func=ast.Attribute(value=owner, attr=name)):
                if not (isinstance(owner, ast.Name) and owner.id == "self"):
                    found.add(name)
    return frozenset(found)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _is_own_entry(method: ast.FunctionDef) -> bool:
    is_given = len(method.args.posonlyargs) + len(method.args.args) > 1
    named = not method.name.startswith("_") and method.name not in (*ENTRIES, "forward")
    marks = " ".join(ast.unparse(decorator) for decorator in method.decorator_list)
    return named and is_given and not any(word in marks for word in _WITHOUT_GRADIENT) and runs_own_parts(method)


def _own_parts(method: ast.AST) -> frozenset[str]:
    calls = (ast.unparse(node.func) for node in ast.walk(method) if isinstance(node, ast.Call))
    return frozenset(called for called in calls if called.startswith("self.") and called not in _TELLING)


def _detaches(method: ast.FunctionDef) -> bool:
    named = (node.attr for node in ast.walk(method) if isinstance(node, ast.Attribute))
    return any(name in ("detach", *_WITHOUT_GRADIENT) for name in named)
