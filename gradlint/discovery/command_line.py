"""Defaults of a script's command line, read from its `add_argument` calls."""

import ast
from collections.abc import Iterator


def command_line_defaults(tree: ast.Module) -> dict[str, ast.expr | None]:
    """`args.hidden_size` → the expression of its default, for every name that `parse_args()` is assigned to.

    Options that are declared twice with different defaults are left out.
    """
    defaults = {name: default for name, default in all_defaults(tree, bare=False).items() if default is not None}
    return {f"{holder}.{name}": default for holder in holders_of(tree) for name, default in defaults.items()}


def all_defaults(tree: ast.Module, *, bare: bool = True) -> dict[str, ast.expr | None]:
    """Option → the expression of its default; None where it is declared twice with different ones.

    Args:
        tree: the script.
        bare: whether options without a default count: they are None where nobody gives them.
    """
    defaults: dict[str, ast.expr | None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _is_call_of(node, ("add_argument",)):
            name, default = _option(node)
            if default is None and bare and _is_optional(node):
                default = ast.copy_location(ast.Constant(None), node)
            if name and default is not None:
                known = defaults.get(name, default)
                same = known is not None and ast.unparse(known) == ast.unparse(default)
                defaults[name] = default if same else None
    return defaults


def holders_of(tree: ast.AST) -> list[str]:
    """Names that the parsed command line is assigned to, directly or by a function of the script."""
    givers = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and gives_command_line(node)}
    return sorted({name for node in ast.walk(tree) for name in _holders(node, givers)})


def gives_command_line(function: ast.FunctionDef) -> bool:
    """Whether a function returns the parsed command line."""
    inside = {name for node in ast.walk(function) for name in _holders(node, set())}
    returned = [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value is not None]
    return any(_is_call_of(v, ("parse_args",)) or (isinstance(v, ast.Name) and v.id in inside) for v in returned)


def _holders(node: ast.AST, givers: set[str]) -> Iterator[str]:
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
        return
    function = node.value.func
    is_given = isinstance(function, ast.Name) and function.id in givers
    for target in node.targets:
        if isinstance(target, ast.Name) and (is_given or _is_call_of(node.value, ("parse_args",))):
            yield target.id
        elif isinstance(target, ast.Tuple) and _is_call_of(node.value, ("parse_known_args",)):
            yield from (element.id for element in target.elts[:1] if isinstance(element, ast.Name))


def _is_call_of(node: ast.expr, names: tuple[str, ...]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names


def _is_optional(call: ast.Call) -> bool:
    """Whether an option may be left out on the command line."""
    flags = [node.value for node in call.args if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    required = keywords.get("required")
    is_required = required is not None and not (isinstance(required, ast.Constant) and not required.value)
    return all(flag.startswith("-") for flag in flags) and "action" not in keywords and not is_required


def _option(call: ast.Call) -> tuple[str, ast.expr | None]:
    """Destination and default of one option."""
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    flags = [node.value for node in call.args if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    long = [flag for flag in flags if flag.startswith("--")] or flags
    name = long[0].lstrip("-").replace("-", "_") if long else ""
    destination = keywords.get("dest")
    if isinstance(destination, ast.Constant) and isinstance(destination.value, str):
        name = destination.value
    action = keywords.get("action")
    if isinstance(action, ast.Constant) and action.value in ("store_true", "store_false"):
        return name, ast.copy_location(ast.Constant(action.value == "store_false"), call)
    return name, keywords.get("default")
