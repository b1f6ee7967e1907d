"""What is computed from parameters alone: real values stay real, laws go as far as they go."""

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from gradlint.propagation import particles as P
from gradlint.propagation.call import Call, NoRuleError, converted, leaves
from gradlint.propagation.weights import CAST, LAYOUT, SHAPED_LIKE, TURNING, Weight

if TYPE_CHECKING:
    from gradlint.propagation.engine import Propagation

DRAWN_AT_MOST = 1 << 24
"""Elements that are drawn where something is computed from weights of which only the law is known (weight norm)."""

PORTION = 1 << 20
"""Elements that are drawn of a larger weight which is computed row by row: rows of one law tell as much as all."""


def fold(run: "Propagation", call: Call) -> Any:
    """The result of an operator that reads weights only; None where nothing is known of it."""
    if call.op.op in SHAPED_LIKE:
        other = call.arg(1, "other")
        call = replace(call, args=(call.args[0], torch.empty(()).expand(other.shape)), kwargs={})
    if call.op.op in CAST and isinstance(call.args[0], Tensor):
        return call.args[0].to(call.node.meta["val"].dtype)
    weights = [v for v in leaves((call.args, call.kwargs)) if isinstance(v, Weight)]
    known = all(w.values is not None for w in weights)
    if call.op.op == "weight_norm" and not known and (portion := _normalised_rows(run, call)) is not None:
        return portion
    if known or (call.op.op not in LAYOUT and sum(w.numel for w in weights) <= DRAWN_AT_MOST):
        given = (call.args, {k: v for k, v in call.kwargs.items() if k != "out"})
        args, kwargs = converted(given, lambda v: _copied_values(run, v))
        with torch.set_grad_enabled(call.op.grad_enabled):
            out = call.node.target(*args, **kwargs)  # type: ignore[operator]
        return tree_map(lambda v: _derived(v, weights, call) if isinstance(v, Tensor) else v, out)
    if call.op.op in LAYOUT and len(weights) == 1 and isinstance(call.args[0], Weight):
        first, origin = weights[0], _origin(call, weights, call.shape)
        return Weight(first.name, call.shape, None, first.sample, first.learned, *origin, first.portion)
    return None


def _normalised_rows(run: "Propagation", call: Call) -> Weight | None:
    """Weight norm g·v/‖v‖ (Salimans & Kingma 2016) where v is large: some of its rows are drawn.

    Rows are independent, and what becomes of one depends on no other.
    """
    direction, length, axis = (*call.args, *call.kwargs.values())
    if not isinstance(direction, Weight) or not isinstance(length, Weight) or axis < 0:
        return None  # a norm of all elements at once, or none that this is about
    if direction.values is not None or direction.numel <= PORTION:
        return None  # all of them can be
    rows = min(direction.shape[axis], max(1, PORTION * direction.shape[axis] // direction.numel))
    shape = (*direction.shape[:axis], rows, *direction.shape[axis + 1 :])
    with torch.set_grad_enabled(call.op.grad_enabled):
        v, g = _copied_values(run, direction, shape), _copied_values(run, length).narrow(axis, 0, rows)
        if g.requires_grad:  # the lengths of the other rows get as much
            g.register_hook(lambda received: received * math.sqrt(direction.shape[axis] / rows))
        portion = torch._weight_norm(v, g, axis)
    flat = portion.detach().to(P.DTYPE).reshape(-1)
    sample = flat[torch.randint(0, flat.numel(), (2048,), generator=P.generator("rows", direction.name))]
    learned = portion.requires_grad and (direction.learned or length.learned)
    origin = _origin(call, [direction, length], direction.shape)
    return Weight(direction.name, direction.shape, None, sample, learned, *origin, portion)


def _copied_values(run: "Propagation", value: Any, portion: tuple[int, ...] | None = None) -> Any:
    """A weight's values (a copy: the operator may write in place), drawn from its law where they are not known: all of
    them, or those of a portion of that shape."""
    if isinstance(value, Tensor):
        return value.clone()
    if not isinstance(value, Weight):
        return value
    if value.values is not None:
        return value.values.clone()
    leaf = run.leaves.get(value.name)
    if leaf is None:
        whole = run.values[value.name].shape
        shape = portion or (whole if math.prod(whole) <= DRAWN_AT_MOST else value.shape)
        at = torch.randint(0, value.sample.numel(), shape, generator=P.generator("drawn", value.name))
        leaf = run.leaves[value.name] = value.sample.to(torch.float32)[at].requires_grad_(value.learned)
    shape = portion or value.shape
    if leaf.shape == shape:
        return leaf.clone()
    return leaf.reshape(-1)[torch.arange(math.prod(shape)) % leaf.numel()].view(shape)  # a part, or copies


def _derived(values: Tensor, weights: list[Weight], call: Call) -> Any:
    if values.dtype.is_complex:
        raise NoRuleError("complex numbers are not followed")
    if not values.dtype.is_floating_point:
        return values.detach()
    flat = values.detach().to(P.DTYPE).reshape(-1)
    shape, source = tuple(values.shape), weights[0]
    learned = source.learned and values.requires_grad
    return Weight(source.name, shape, values, flat[:2048], learned, *_origin(call, weights, shape))


def _origin(call: Call, weights: list[Weight], shape: tuple[int, ...]) -> tuple[str, bool]:
    """What a weight computed from others is, as a text; and whether it is the transpose of that."""
    rest = [v for v in leaves((call.args, dict(call.kwargs))) if not isinstance(v, Weight)]
    rest = [] if call.op.op in SHAPED_LIKE else rest
    if any(isinstance(v, Tensor) for v in rest) or not all(w.origin for w in weights):
        return "", False
    first = weights[0]
    if call.op.op in TURNING and len(weights) == 1 and len(first.shape) == 2:
        return first.origin, first.turned != _turns(call.op.op, rest)
    names = ", ".join(f"{w.origin}{' turned' if w.turned else ''}" for w in weights)
    return f"{call.op.op}({names}; {', '.join(map(repr, rest))}) of shape {shape}", False


def _turns(op: str, rest: list[Any]) -> bool:
    """Whether an operator of `TURNING` exchanges the dims of a matrix."""
    places = [v % 2 for v in rest if isinstance(v, int)]
    return len(places) < 2 or (places == [1, 0] if op == "permute" else places[0] != places[1])
