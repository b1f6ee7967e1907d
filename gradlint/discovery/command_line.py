"""Defaults of a script's command line, read from its `add_argument` calls."""

import ast


def command_line_defaults(tree: ast.Module) -> dict[str, ast.expr | None]:
    """`args.hidden_size` → the expression of its default, for every name that `parse_args()` is assigned to.

    Options that are declared twice with different defaults are left out.
    """
    defaults: dict[str, ast.expr | None] = {}
    holders: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_call_of(node.value, ("parse_args",)):
            holders.update(target.id for target in node.targets if isinstance(target, ast.Name))
        if isinstance(node, ast.Call) and _is_call_of(node, ("add_argument",)):
            name, default = _option(node)
            if name and default is not None:
                known = defaults.get(name, default)
                same = known is not None and ast.unparse(known) == ast.unparse(default)
                defaults[name] = default if same else None
    return {f"{holder}.{name}": default for holder in holders for name, default in defaults.items()}


def _is_call_of(node: ast.expr, names: tuple[str, ...]) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in names


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
