"""State-space scans written as a Python loop: several computed sequences taken apart step by step.

Their steps are multiplied into one another with what units and positions share, of which the particles know too little:
predicted gradients drift by tenths of a decade per layer (Mamba). They are named, so that nothing is built on them.
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
