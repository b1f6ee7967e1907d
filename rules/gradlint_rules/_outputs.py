"""What stands last in a model, and which loss its output goes into."""

import ast

from gradlint.api import Location, LossUse, RuleContext
from gradlint_rules._paths import through_layout

_TRANSPARENT = frozenset({"getitem", "unpack", "select", "squeeze"})


def last_operators(ctx: RuleContext) -> tuple[str, ...]:
    """For each output the node that made its values: views, copies and slices seen through."""
    return tuple(dict.fromkeys(through_layout(ctx.graph, name, extra=_TRANSPARENT) for name in ctx.graph.outputs))


def losses_of(ctx: RuleContext, names: frozenset[str]) -> tuple[LossUse, ...]:
    """The losses of these names that this model's output goes into; none where that is not certain."""
    bound = [loss for loss in ctx.losses if loss.model == ctx.target.name]
    if not bound and _is_only_model(ctx):
        bound = [loss for loss in ctx.losses if not loss.model]
    if any(loss.name not in names for loss in bound):
        return ()
    return tuple(bound)


def place_of_loss(loss: LossUse) -> Location:
    """The line that computes the loss."""
    return Location(loss.path, loss.line, loss.column)


def _is_only_model(ctx: RuleContext) -> bool:
    """Whether the file holds no other model that the loss could belong to."""
    if ctx.tree is None:
        return False
    classes = [
        n for n in ast.walk(ctx.tree) if isinstance(n, ast.ClassDef) and any("Module" in ast.dump(b) for b in n.bases)
    ]
    inner = {m.id for c in classes for m in ast.walk(c) if isinstance(m, ast.Name)}
    roots = [c.name for c in classes if c.name not in inner]
    return roots == [ctx.target.name]
