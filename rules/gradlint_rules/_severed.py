"""Where a gradient is cut: the operators past which none comes back, and how they are spelled in the file."""

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradlint.api import Location, OpNode, ParameterInfo, Remedy, RuleContext, Site
from gradlint_rules._wording import counted

_LEAVING = ("item", "tolist", "numpy")
"""Methods that take numbers out of the graph."""
_CUTTING = ("detach", "detach_", "data")


@dataclass(frozen=True, slots=True)
class Severance:
    """One place where a gradient ends."""

    node: str
    location: Location | None
    spelling: str
    """As it stands in the file: `.detach()`, `.data`, `torch.no_grad()`; empty where no cause is known."""

    @property
    def key(self) -> tuple[int, str]:
        """Equal for the same spelling in the same line."""
        return (self.location.line if self.location is not None else 0, self.spelling)

    @property
    def told(self) -> str:
        """`.detach() in line 9`."""
        line = f" in line {self.location.line}" if self.location is not None else ""
        return f"{self.spelling}{line}"


def told(parameter: ParameterInfo, end: Severance | None) -> str:
    """What has become of a parameter, in words."""
    if not parameter.used:
        return "is never used in forward"
    if end is None or not end.spelling:
        return "is cut off from the output: nothing that comes of its result carries a gradient"
    if end.spelling[1:].removesuffix("()") in _LEAVING:
        return f"is cut off from the output: {end.told} makes plain numbers of its result"
    return f"is cut off from the output by {end.told}"


def owner_of(ctx: RuleContext, parameters: Sequence[ParameterInfo]) -> str:
    """What the parameters belong to: one module, or the part of the model that holds nothing else."""
    modules = list(dict.fromkeys(p.module for p in parameters))
    if len(modules) == 1:
        return modules[0]
    part, names = modules[0].split(".")[0], {p.name for p in parameters}
    if all(name in names for name in ctx.parameters if name.startswith(f"{part}.")):
        return part
    return f"{modules[0]}, like {counted(len(modules) - 1, 'other module')},"


def site(end: Severance | None) -> tuple[Site, ...]:
    """The line where the gradient ends."""
    return (Site(end.location, "the gradient ends here"),) if end is not None and end.location is not None else ()


def remedies(parameter: ParameterInfo, end: Severance | None) -> tuple[Remedy, ...]:
    """Take out what cuts, or say that it is meant."""
    if not parameter.used:
        return (Remedy("use it in forward, or delete it", "gives every parameter a gradient"),)
    meant = Remedy("requires_grad_(False) where it is frozen on purpose", "leaves nothing idle in the optimiser")
    return (Remedy(f"no {end.told}" if end and end.spelling else "use its result", "gives it a gradient"), meant)


def by_end(
    ctx: RuleContext, groups: Mapping[Location, Sequence[ParameterInfo]]
) -> Iterator[tuple[Location, Sequence[ParameterInfo], Severance | None]]:
    """Parameters without a gradient: those cut off at one place together, those never used by their own line."""
    cut: dict[tuple[int, str], tuple[Location, list[ParameterInfo], Severance | None]] = {}
    for place, parameters in groups.items():
        for parameter in (p for p in parameters if p.used):
            own = [n.name for n in ctx.graph.nodes.values() if n.op == "parameter" and n.target == parameter.name]
            end = next(iter(severances(ctx, own)[::-1]), None)
            cut.setdefault(end.key if end else (0, ""), (place, [], end))[1].append(parameter)
    yield from cut.values()
    unused = {place: [p for p in parameters if not p.used] for place, parameters in groups.items()}
    yield from ((place, parameters, None) for place, parameters in unused.items() if parameters)


def severances(ctx: RuleContext, starts: Iterable[str]) -> tuple[Severance, ...]:
    """The places where the gradients of some nodes end, in execution order."""
    nodes, users, index = ctx.graph.nodes, ctx.graph.users, ctx.graph.index
    outputs, seen, ends = set(ctx.graph.outputs), set(starts), set[str]()
    stack = list(seen)
    while stack:
        name = stack.pop()
        carrying = [user for user in users[name] if nodes[user].requires_grad]
        ends.update(user for user in users[name] if not nodes[user].requires_grad)
        if not users[name] and name not in outputs:
            ends.add(name)
        fresh = [user for user in carrying if user not in seen]
        seen.update(fresh)
        stack += fresh
    return tuple(_severance(ctx, nodes[name]) for name in sorted(ends, key=index.__getitem__))


def _severance(ctx: RuleContext, node: OpNode) -> Severance:
    place = next((f for f in (node.location, *node.frames) if f is not None and f.path == ctx.target.path), None)
    if node.requires_grad:
        found = _written(ctx, place, _LEAVING)
        return Severance(node.name, found[1] if found else place, found[0] if found else "")
    if not node.grad_enabled:
        return Severance(node.name, place, "torch.no_grad()")
    found = (_written(ctx, place, _CUTTING) or _written(ctx, place, _LEAVING)) if node.op == "detach" else None
    return Severance(node.name, found[1] if found else place, found[0] if found else node.op)


def _written(ctx: RuleContext, place: Location | None, names: tuple[str, ...]) -> tuple[str, Location] | None:
    """The first attribute of these names that stands in a line, as it is written, and where."""
    if place is None or ctx.tree is None:
        return None
    called = {node.func for node in ast.walk(ctx.tree) if isinstance(node, ast.Call)}
    for node in ast.walk(ctx.tree):
        if not isinstance(node, ast.Attribute) or node.attr not in names or node.end_lineno is None:
            continue
        if node.end_lineno == place.line:
            begin = (node.end_col_offset or 0) - len(node.attr)
            where = Location(place.path, node.end_lineno, begin + 1, begin + 1 + len(node.attr), context=place.context)
            return f".{node.attr}{'()' if node in called else ''}", where
    return None
