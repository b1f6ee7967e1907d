"""Parameters whose effect the next batch norm takes out again: shifts exactly, scales but for its eps.

Particles know the moments of a cotangent, not sums over the batch that vanish exactly (Σ g, Σ g·x); the graph does:

- A shift per unit that meets nothing but linear maps of single positions on its way to a batch norm has no effect.
- A scale per unit that meets nothing but homogeneous maps of single units scales x there; with ŷ = (x − μ)/√(v + eps)
  and ∂L/∂γ′ = Σ g·ŷ of that norm, Euler's theorem leaves ∂L/∂γ = γ′/γ · eps/(v + eps) · ∂L/∂γ′.
- A shift of all keys alike adds one number to each row of attention's scores, which softmax takes out.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, fx

from gradlint.propagation import particles as P
from gradlint.propagation.dims import Role, count
from gradlint.propagation.engine import Propagation
from gradlint.propagation.signal import Signal
from gradlint.tracing.model_graph import TensorMeta, op_of

KEEPS = frozenset("dropout dropout1d dropout2d dropout3d feature_dropout contiguous clone unpack".split())
MOVES = frozenset("view reshape transpose permute flatten unflatten swapaxes movedim channel_shuffle".split())
PARTS = frozenset("cat concat chunk split".split())
CONVOLUTIONS = frozenset("conv1d conv2d conv3d".split())
MAPS = frozenset("relu relu6 leaky_relu prelu hardtanh max_pool1d max_pool2d max_pool3d".split())
POOLS = frozenset("avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool2d adaptive_max_pool2d".split())


def settle(run: Propagation, gradients: dict[str, float]) -> None:
    """Correct the gradients of shifts and scales that a batch norm behind them takes out."""
    shifts: dict[fx.Node, bool] = {}
    ends: dict[fx.Node, tuple[fx.Node, ...] | None] = {}
    for node in reversed(run.graph.graph.nodes):
        if node.op not in ("call_function", "placeholder", "get_attr"):
            continue
        users = list(node.users)
        shifts[node] = bool(users) and all(_takes_shift(run, user, node, shifts) for user in users)
        found = [_scale_ends(run, user, node, ends) for user in users]
        ends[node] = None if not users or None in found else tuple({e: 0 for part in found for e in part or ()})
        if node.op != "call_function":
            continue
        if op_of(node).op == "scaled_dot_product_attention":
            name = _bias_of_keys(node)
            if name in gradients:
                gradients[name] = 0.0
        if shifts[node] and op_of(node).op in ("batch_norm", "linear", *CONVOLUTIONS):
            name = _own(node, 2)
            if name in gradients:
                gradients[name] = 0.0
        if ends[node] and _is_training_norm(node) and _are_sums_whole(node):
            _settle_scale(run, node, ends[node] or (), gradients)


def _settle_scale(run: Propagation, node: fx.Node, ends: tuple[fx.Node, ...], gradients: dict[str, float]) -> None:
    scale, shift = _own(node, 1), _own(node, 2)
    if scale not in gradients or not _is_zero(run, shift):
        return
    parts = [_left_of_scale(run, end) * gradients.get(_own(end, 1), math.inf) for end in ends]
    gradients[scale] = min(gradients[scale], math.hypot(*parts))


def _left_of_scale(run: Propagation, norm: fx.Node) -> float:
    """RMS over units of eps/(v + eps)."""
    before = run.environment.get(norm.args[0]) if isinstance(norm.args[0], fx.Node) else None
    if not isinstance(before, Signal):
        return math.inf
    m = P.moments(before.value)
    v = torch.as_tensor(max(m.q - m.o, 0.0), dtype=P.DTYPE)
    if before.varied is not None:
        v = v * before.varied
    eps = float(norm.args[7]) if len(norm.args) > 7 else 1e-5  # type: ignore[arg-type]
    return float((eps / (v + eps)).square().mean().sqrt())


def _takes_shift(run: Propagation, user: fx.Node, node: fx.Node, shifts: Mapping[fx.Node, bool]) -> bool:
    """Whether a shift per unit of `node` is without effect through this reader."""
    if user.op != "call_function":
        return False
    op = op_of(user).op
    if _is_training_norm(user):
        return user.args[0] is node and _is_per_unit(run, node)
    if op in CONVOLUTIONS:
        return user.args[0] is node and _is_per_unit(run, node) and _is_without_padding(user) and shifts[user]
    if op in ("add", "sub"):
        return _shape(user) == _shape(node) and shifts[user]
    return (op in KEEPS or op in MOVES or _is_by_units(user)) and shifts[user]


def _scale_ends(
    run: Propagation, user: fx.Node, node: fx.Node, ends: Mapping[fx.Node, tuple[fx.Node, ...] | None]
) -> tuple[fx.Node, ...] | None:
    """The batch norms that take out a scale per unit of `node`; None where something else comes before."""
    if user.op != "call_function":
        return None
    op = op_of(user).op
    if _is_training_norm(user):
        return (user,) if user.args[0] is node and _is_per_unit(run, node) and _own(user, 1) else None
    passes = (
        op in KEEPS or op in MOVES or op in POOLS or _is_by_units(user) or _is_each_alone(user, node)
        or (op in MAPS and _is_homogeneous(run, user, node)) or (op == "add" and _shape(user) == _shape(node))
    )  # fmt: skip
    return ends[user] if passes else None


def _are_sums_whole(norm: fx.Node) -> bool:
    """Whether every sum on the way from a scale to the norms that take it out has only terms that it scales."""
    scaled: dict[fx.Node, bool] = {norm: True}  # each with whether units still stand where the scale has them
    pending = [norm]
    while pending:
        for user in pending.pop(0).users:
            if _is_training_norm(user) or user in scaled:
                continue
            terms = [term for term in user.all_input_nodes if term.op != "get_attr"]
            if op_of(user).op == "add" and not all(scaled.get(term, False) for term in terms):
                continue  # not yet, or never
            moved = op_of(user).op in MOVES or op_of(user).op in PARTS
            scaled[user] = not moved and all(scaled.get(term, False) for term in terms)
            pending.append(user)
    reached = {user for node in scaled for user in node.users if not _is_training_norm(user)}
    return reached <= scaled.keys()


def _bias_of_keys(attention: fx.Node) -> str:
    """Name of the bias that shifts all of attention's keys alike."""
    node = _argument(attention, 1, "key")
    while isinstance(node, fx.Node) and len(node.users) == 1 and node.op == "call_function":
        op = op_of(node).op
        if op == "linear":
            return _own(node, 2)
        if op not in KEEPS and op not in MOVES:
            break
        node = node.args[0]
    return ""


def _is_training_norm(node: fx.Node) -> bool:
    return op_of(node).op == "batch_norm" and (len(node.args) > 5 and node.args[5] is True)


def _is_per_unit(run: Propagation, node: fx.Node) -> bool:
    """Whether the second dim holds the units and the others none."""
    signal = run.environment.get(node)
    if not isinstance(signal, Signal) or len(signal.dims) < 2:
        return False
    rest = (signal.dims[0], *signal.dims[2:])
    inside = signal.dims[1:2]
    return not count(inside, Role.SAMPLE) > 1 and not count(inside, Role.POSITION) > 1 and count(rest, Role.UNIT) <= 1


def _is_without_padding(node: fx.Node) -> bool:
    padding = _argument(node, 4, "padding")
    if isinstance(padding, tuple | list):
        return not any(padding)
    return padding in (None, 0, "valid")


def _is_each_alone(user: fx.Node, node: fx.Node) -> bool:
    """A depthwise convolution without shift, one unit to one unit."""
    weight, bias = (_argument(user, place, name) for place, name in ((1, "weight"), (2, "bias")))
    if op_of(user).op not in CONVOLUTIONS or user.args[0] is not node or not isinstance(weight, fx.Node):
        return False
    shape = _shape(weight)
    return bias is None and shape[1] == 1 and shape[0] == _shape(node)[1]


def _argument(node: fx.Node, place: int, name: str) -> object:
    return node.args[place] if len(node.args) > place else node.kwargs.get(name)


def _is_by_units(node: fx.Node) -> bool:
    """Units of several tensors side by side, or taken apart again."""
    op = op_of(node).op
    place = 1 if op in ("cat", "concat") else 2
    return op in PARTS and _argument(node, place, "dim") in (1,)


def _is_homogeneous(run: Propagation, user: fx.Node, node: fx.Node) -> bool:
    """Whether a map of single numbers scales with what it is given, at the particles that it meets."""
    op, signal = op_of(user).op, run.environment.get(node)
    if op in ("relu", "leaky_relu", "prelu") or "pool" in op:
        return user.args[0] is node
    if not isinstance(signal, Signal) or any(isinstance(a, fx.Node) for a in user.args[1:]):
        return False
    f: Callable[..., Tensor] = user.target  # type: ignore[assignment]
    rest = {name: value for name, value in user.kwargs.items() if name != "inplace"}
    x = signal.value
    return bool(torch.allclose(f(1.01 * x, *user.args[1:], **rest), 1.01 * f(x.clone(), *user.args[1:], **rest)))


def _own(node: fx.Node, place: int) -> str:
    """Name of the parameter that stands at this place of the call and nowhere else."""
    value = node.args[place] if len(node.args) > place else None
    is_own = isinstance(value, fx.Node) and value.op == "get_attr" and len(value.users) == 1
    return str(value.target) if is_own and isinstance(value, fx.Node) else ""


def _is_zero(run: Propagation, name: str) -> bool:
    known = run.values.get(name)
    return known is not None and not bool((known.sample if known.values is None else known.values).any())


def _shape(node: fx.Node) -> tuple[int, ...]:
    meta = node.meta.get("val")
    return tuple(meta.shape) if isinstance(meta, TensorMeta) else ()
