"""Follow every scope of one file: the top level, the main block, functions, methods."""

import ast

from gradlint.discovery.command_line import command_line_defaults
from gradlint.discovery.flow_values import ModelValue, Value
from gradlint.discovery.initialising import trains
from gradlint.discovery.names import flat_statements, is_main_block, returned_names
from gradlint.discovery.notebook import Notebook
from gradlint.discovery.usage import Follower

_MODEL_PARAMETERS = ("model", "net", "network", "self.model", "self.net")


def follow_file(tree: ast.Module, notebook: Notebook, *, records: bool, sole: str) -> None:
    """Follow a file's statements in order, and note in the notebook what becomes of its models.

    Args:
        tree: the file.
        notebook: what is known of it so far.
        records: whether constructions, feeds and losses are noted, or only which models functions are handed.
        sole: name of the only model there is, if it is.
    """
    outer = {**command_line_defaults(tree), **notebook.facts}
    module = Follower(notebook, outer=outer, records=records, top=True)
    module.follow([s for s in tree.body if not is_main_block(s)])
    for statement in tree.body:
        if is_main_block(statement):
            assert isinstance(statement, ast.If)
            block = Follower(notebook, outer=module.scope, values=module.values, records=records)
            block.follow(statement.body)
    for statement in flat_statements(tree.body):
        if isinstance(statement, ast.FunctionDef):
            _follow_function(statement, module, notebook, records=records, sole=sole)
        elif isinstance(statement, ast.ClassDef):
            _follow_class(statement, module, notebook, records=records, sole=sole)


def _follow_function(
    node: ast.FunctionDef,
    module: Follower,
    notebook: Notebook,
    *,
    records: bool,
    sole: str,
    attributes: dict[str, Value] | None = None,
    owner: str = "",
    called: str = "",
) -> Follower:
    parameters = [argument.arg for argument in node.args.posonlyargs + node.args.args + node.args.kwonlyargs]
    values: dict[str, Value] = {**module.values, **(attributes or {})}
    outer = {**module.scope, **dict.fromkeys(parameters), **notebook.presets.get(called or node.name, {})}
    positions = parameters[1:] if attributes is not None else parameters
    for name in parameters:
        if name != "self":
            values[name] = _parameter(called or node.name, name, positions, notebook, sole)
    is_forward = bool(owner) and node.name == "forward"
    returned = frozenset(returned_names(node)) if is_forward else frozenset()
    inside = owner or (node.name if node.name in notebook.candidates else "")
    follower = Follower(
        notebook,
        outer=outer,
        values=values,
        records=records,
        returned=returned,
        owner=inside,
        within=(f"{owner}.{node.name}:{node.lineno}",),
        trained=trains(node),
    )
    follower.follow(node.body)
    return follower


def _parameter(function: str, name: str, positions: list[str], notebook: Notebook, sole: str) -> Value:
    """The model that a parameter stands for: what the file's own calls hand over, else the only model there is."""
    position = str(positions.index(name)) if name in positions else ""
    handed = notebook.handed.get((function, name), set()) | notebook.handed.get((function, position), set())
    if len(handed) == 1:
        return ModelValue(next(iter(handed)))
    return ModelValue(sole) if not handed and sole and name in _MODEL_PARAMETERS else None


def _follow_class(node: ast.ClassDef, module: Follower, notebook: Notebook, *, records: bool, sole: str) -> None:
    """The constructor first, then the other methods with what it bound to `self`."""
    own = node.name if node.name in notebook.candidates else ""
    methods = [child for child in node.body if isinstance(child, ast.FunctionDef)]
    methods.sort(key=lambda method: method.name not in ("__init__", "setUp", "setup"))
    attributes: dict[str, Value] = {"self": ModelValue(own)} if own else {}
    for method in methods:
        follower = _follow_function(
            method,
            module,
            notebook,
            records=records,
            sole=sole,
            attributes=dict(attributes),
            owner=own,
            called=node.name if method.name == "__init__" else f"{node.name}.{method.name}",
        )
        found = {key: value for key, value in follower.values.items() if key.startswith("self.") and value is not None}
        attributes.update({key: _through_forward(node, key, value, own) for key, value in found.items()})


def _through_forward(node: ast.ClassDef, key: str, value: Value, own: str) -> Value:
    """A part whose output is what the class's own forward returns counts as the class itself."""
    if not own or not isinstance(value, ModelValue):
        return value
    forward = next((c for c in node.body if isinstance(c, ast.FunctionDef) and c.name == "forward"), None)
    last = forward.body[-1] if forward is not None else None
    if isinstance(last, ast.Return) and isinstance(last.value, ast.Call) and ast.unparse(last.value.func) == key:
        return ModelValue(own)
    return value
