"""State-space scans, as a Python loop or in parallel: computed decays are multiplied up over steps.

In a loop several computed sequences are taken apart step by step: what units and positions share, of which the
particles know too little, is multiplied again and again, and gradients drift by tenths of a decade per layer (Mamba).
In parallel (Dao & Gu 2024, Mamba-2) products are exponentials of differences between running sums, which are never
above one since later sums are never above earlier ones; two positions of a signal have no order, and half of all
differences come out positive. Both are named, so that nothing is built on them.
"""

from collections import Counter

from torch import fx

from gradlint.core.flow import UnknownOperator
from gradlint.propagation.signal import Signal
from gradlint.tracing.model_graph import op_of

STEPS = 8
"""From this many single steps on, a sequence counts as taken apart."""
SEQUENCES = 3
"""A recurrent cell reads one or two sequences; a scan at least its decay, its input and its output map."""


CARRYING = frozenset(
    "add sub neg mul div masked_fill where clamp clamp_max getitem select narrow permute transpose reshape view pad "
    "unsqueeze squeeze expand contiguous flatten to float constant_pad_nd alias".split()
)
"""Operators through which a running sum goes on its way to an exponential."""


def scans(environment: dict[fx.Node, object]) -> list[UnknownOperator]:
    """Scans of both kinds, one entry per module."""
    return unrolled_scans(environment) + parallel_scans(environment)


def parallel_scans(environment: dict[fx.Node, object]) -> list[UnknownOperator]:
    """The modules that take exponentials of running sums of computed sequences."""
    found: dict[str, fx.Node] = {}
    for node, value in environment.items():
        if isinstance(value, Signal) and not value.free and op_of(node).op == "cumsum" and _reaches_exponential(node):
            found.setdefault(op_of(node).module, node)
    return [
        UnknownOperator(
            "parallel scan",
            op_of(node).name,
            op_of(node).location,
            "exponentials of running sums: that later sums are never above earlier ones is not followed",
        )
        for node in found.values()
    ]


def _reaches_exponential(node: fx.Node) -> bool:
    seen, waiting = {node}, [node]
    while waiting:
        for user in waiting.pop().users:
            if user in seen or user.op != "call_function":
                continue
            seen.add(user)
            if op_of(user).op in ("exp", "exp2"):
                return True
            if op_of(user).op in CARRYING:
                waiting.append(user)
    return False


def unrolled_scans(environment: dict[fx.Node, object]) -> list[UnknownOperator]:
    """The modules that take apart at least `SEQUENCES` computed sequences."""
    found: dict[str, list[fx.Node]] = {}
    for node, value in environment.items():
        if isinstance(value, Signal) and not value.free and _steps(node) >= STEPS:
            found.setdefault(op_of(node).module, []).append(node)
    return [
        UnknownOperator(
            "unrolled scan",
            op_of(nodes[0]).name,
            op_of(next(iter(nodes[0].users))).location,
            f"{len(nodes)} sequences are taken apart step by step: what steps share is not followed",
        )
        for nodes in found.values()
        if len(nodes) >= SEQUENCES
    ]


def _steps(node: fx.Node) -> int:
    """Number of different single steps that are taken out of a sequence."""
    picked: Counter[str] = Counter()
    for user in node.users:
        if user.op != "call_function":
            continue
        op = op_of(user)
        if op.op not in ("getitem", "select") or op.shape is None:
            continue
        before = op_of(node).shape
        if before is not None and len(op.shape) < len(before):
            picked[repr(user.args[1:])] += 1
    return len(picked)
