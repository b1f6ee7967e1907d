"""Signs in a file's own code that a parameter need not learn from this forward pass."""

import ast
from collections.abc import Iterator

from gradlint.api import Location, ParameterInfo, RuleContext, Stray

_DECLARED = ("target", "ema", "momentum", "teacher", "frozen", "key_encoder", "reference")
"""Names by which copies that are not meant to learn from the loss are declared."""
_COLLECTING = ("parameters", "named_parameters")


class Usage:
    """What the file's own code says about a parameter that gets no gradient."""

    def __init__(self, ctx: RuleContext) -> None:
        self.ctx = ctx
        tree = ctx.tree
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)] if tree is not None else []
        builders = {n for f in functions if f.name == "__init__" for n in ast.walk(f)}
        outside = [n for n in (ast.walk(tree) if tree is not None else ()) if n not in builders]
        self.read = {n.attr for n in outside if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
        self.dynamic = any(
            isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "getattr" for n in outside
        )
        self.handed_in = {name for function in functions if function.name == "__init__" for name in _kept(function)}
        nodes = ctx.graph.nodes.values()
        self.straight = any(n.op == "detach" and ctx.graph.nodes[n.inputs[0]].op == "sub" for n in nodes if n.inputs)

    def place(self, parameter: ParameterInfo) -> Location | None:
        """The line of the checked file that made it; None where a library did."""
        if parameter.site is not None and parameter.site.path == self.ctx.target.path:
            return parameter.site
        info = self.ctx.modules.get(parameter.module)
        own = [site for site in info.sites if site.path == self.ctx.target.path] if info is not None else []
        return own[0] if own and info is not None and info.sites[0] == own[0] else None

    def is_meant(self, parameter: ParameterInfo) -> bool:
        """Whether there is any sign that it need not learn in this forward pass."""
        parts = [part for part in parameter.name.split(".") if not part.isdigit()]
        if any(word in part.lower() for part in parts for word in _DECLARED):
            return True
        if parameter.used:
            return self.straight or not self._with_gradient(parameter) or self._leftover(parameter)
        if parts[0] in self.handed_in:
            return True  # kept for whoever handed it in: `model.generator(decoded)`
        return self.dynamic or all(part in self.read for part in parts[:1] + parts[1:-1])

    def _leftover(self, parameter: ParameterInfo) -> bool:
        """Whether the same line made others that do learn: the last block of a loop, whose result nobody takes up."""
        place, leaf = self.place(parameter), parameter.name.rpartition(".")[2]
        others = (p for p in self.ctx.parameters.values() if p.reachable and p.name.rpartition(".")[2] == leaf)
        return place is not None and any(p.shape == parameter.shape and self.place(p) == place for p in others)

    def _with_gradient(self, parameter: ParameterInfo) -> bool:
        graph = self.ctx.graph
        own = [n.name for n in graph.nodes.values() if n.op == "parameter" and n.target == parameter.name]
        return any(graph.nodes[user].grad_enabled for name in own for user in graph.users[name])


def _kept(constructor: ast.FunctionDef) -> Iterator[str]:
    """Attributes that a constructor only keeps of what it is handed: `self.generator = generator`."""
    given = {argument.arg for argument in (*constructor.args.args, *constructor.args.kwonlyargs)}
    for node in ast.walk(constructor):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name) and node.value.id in given:
            yield from (target.attr for target in node.targets if isinstance(target, ast.Attribute))


class Containers:
    """What the file's own code says about the plain containers in which modules stand."""

    def __init__(self, ctx: RuleContext) -> None:
        self.ctx = ctx
        tree = ctx.tree
        self.classes = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.ClassDef)} if tree is not None else {}
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        nodes = [n for n in ast.walk(tree) if isinstance(n, functions)] if tree is not None else []
        loose = [
            n for n in (tree.body if tree is not None else ()) if not isinstance(n, ast.ClassDef | ast.FunctionDef)
        ]
        self.collected = set[str]().union(*(_collected(n) for n in (*nodes, *loose)))

    def excuse_for(self, stray: Stray) -> str:
        """Why the container may be meant as it is; empty where nothing speaks for it."""
        known = self.ctx.tree is None or self._class(stray) is not None
        wrapped = stray.entries == 1 and (self.ctx.tree is None or self._wraps_a_name(stray))
        excuses = {
            "its class stands in another file": not known,
            "its name says that it is meant": any(word in stray.attribute.lower() for word in _DECLARED),
            "it only wraps a module that exists already": wrapped,
            "the file collects its parameters itself": stray.attribute in self.collected,
        }
        return next((excuse for excuse, applies in excuses.items() if applies), "")

    def place(self, stray: Stray) -> Location:
        """Where the container is assigned; the line that made its module where that cannot be read."""
        path = self.ctx.target.path
        statement = next(iter(self._assignments(stray)), None)
        if statement is None:
            return self.ctx.site(stray.owner) or Location(path, max(1, self.ctx.target.line))
        value = statement.value or statement
        end = value.end_col_offset if value.end_lineno == value.lineno else None
        return Location(path, value.lineno, value.col_offset + 1, None if end is None else end + 1)

    def _class(self, stray: Stray) -> ast.ClassDef | None:
        """The class of the owner, or a base class of it, that assigns the container."""
        owner = self.ctx.model.get_submodule(stray.owner)
        own = (self.classes[cls.__name__] for cls in type(owner).__mro__ if cls.__name__ in self.classes)
        return next((node for node in own if _assigned(node, stray.attribute)), None)

    def _assignments(self, stray: Stray) -> list[ast.Assign | ast.AnnAssign]:
        node = self._class(stray)
        return _assigned(node, stray.attribute) if node is not None else []

    def _wraps_a_name(self, stray: Stray) -> bool:
        values = [statement.value for statement in self._assignments(stray)]
        return any(
            isinstance(v, ast.List | ast.Tuple) and len(v.elts) == 1 and isinstance(v.elts[0], ast.Name | ast.Attribute)
            for v in values
        )


def _assigned(node: ast.ClassDef, attribute: str) -> list[ast.Assign | ast.AnnAssign]:
    """Statements `self.attribute = …`."""
    found: list[ast.Assign | ast.AnnAssign] = []
    for statement in ast.walk(node):
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            if any(isinstance(t, ast.Attribute) and t.attr == attribute for t in targets):
                found.append(statement)
    return found


def _collected(node: ast.AST) -> set[str]:
    """Attributes that a function mentions where it also asks parts of the model (not itself) for their parameters."""
    attributes = [n for n in ast.walk(node) if isinstance(n, ast.Attribute)]
    asks = any(n.attr in _COLLECTING and not _is_self(n.value) for n in attributes)
    return {n.attr for n in attributes} if asks else set()


def _is_self(node: ast.expr) -> bool:
    """`self`, `super()`."""
    inner = node.func if isinstance(node, ast.Call) else node
    return isinstance(inner, ast.Name) and inner.id in ("self", "super")
