"""Signs in a file's own code that a parameter need not learn from this forward pass."""

import ast

from gradlint.api import Location, ParameterInfo, RuleContext

_DECLARED = ("target", "ema", "momentum", "teacher", "frozen", "key_encoder", "reference")
"""Names by which copies that are not meant to learn from the loss are declared."""


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
