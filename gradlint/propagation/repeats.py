"""Parameters that are read several times: loops over a cell, layers applied again, siamese branches, tied transposes.

One weight must not be drawn anew at every call. Here stands which parameters are read more than once, what each of
their matrices has done so far, and what each call adds to their gradients: contributions of several calls add up
coherently where inputs and cotangents are alike (design `flow.md`, correction 7).
"""

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx

from gradlint.propagation import particles as P
from gradlint.propagation.call import LOOKUPS
from gradlint.propagation.drawn import DrawnMatrix, RealMatrix
from gradlint.propagation.weights import LAYOUT, SHAPED_LIKE, Weight
from gradlint.tracing.model_graph import constant_of, op_of

Extent = tuple[int, int, int]
"""Samples, positions, and sets of units that share a weight: what a gradient is summed over."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """Particles of one call: `unit` float32 (there may be thousands of calls), multiplied by `size`."""

    unit: Tensor
    size: float

    @staticmethod
    def of(x: Tensor, width: int) -> "_Seen":
        """From `[R, U]` particles."""
        scale = P.scale_of(x)
        return _Seen((P.HADAMARD @ (x.detach() / scale).expand(P.R, P.S)[:, :width]).float(), scale)


@dataclass
class _Uses:
    """Calls of one matrix (or bias, whose input is one)."""

    weight: Weight
    cotangents: list[_Seen] = field(default_factory=list)
    inputs: list[_Seen] = field(default_factory=list)


@dataclass
class Repeats:
    """What is known of the parameters that are read more than once."""

    reads: dict[str, int] = field(default_factory=dict)
    """Name → number of operators that read it."""
    mixed: frozenset[fx.Node] = frozenset()
    """Nodes that depend on such a parameter: the operands of a sum there may be alike, however little."""
    answering: frozenset[fx.Node] = frozenset()
    """Nodes that feed such a parameter's operators: cotangents may be alike there."""
    _drawn: dict[tuple[Hashable, bool], DrawnMatrix] = field(default_factory=dict)
    """By what acts, and whether on the way back."""
    _real: dict[Hashable, RealMatrix] = field(default_factory=dict)
    _uses: dict[tuple[str, bool, Extent], _Uses] = field(default_factory=dict)
    _leaves: dict[Hashable, Tensor] = field(default_factory=dict)

    @staticmethod
    def of(graph: fx.Graph) -> "Repeats":
        """From a traced graph."""
        reads: Counter[str] = Counter()
        sources = [n for n in graph.nodes if n.op == "get_attr" and constant_of(n) is None]
        for node in sources:
            reads[str(node.target)] += len(_readers(node))
        often = {name: n for name, n in reads.items() if n > 1}
        acting = {user for n in sources if str(n.target) in often for user in _readers(n)}
        below: set[fx.Node] = set(acting)
        for node in graph.nodes if often else ():
            if below.intersection(node.all_input_nodes):
                below.add(node)
        above: set[fx.Node] = set()
        for node in reversed(graph.nodes) if often else ():
            if any(user in above or user in acting for user in node.users):
                above.add(node)
        return Repeats(often, frozenset(below), frozenset(above))

    def is_repeated(self, weight: Weight) -> bool:
        """Whether the parameter is read more than once, and it is known which of its matrices this is."""
        return bool(weight.origin) and weight.name in self.reads

    def key(self, weight: Weight, otherwise: str, *, turned: bool = False) -> str:
        """Seed of the units that a weight's rows (columns, if `turned`) stand for: the same at every call."""
        return f"{weight.origin} {turned}" if self.is_repeated(weight) else otherwise

    def drawn(self, weight: Weight, *, back: bool) -> DrawnMatrix | None:
        """The matrix as far as its calls have drawn it, forward and backward apart; None where it has but one call."""
        if not self.is_repeated(weight):
            return None
        return self._drawn.setdefault((weight.origin, back), DrawnMatrix())

    def rows(self, extent: Hashable, *, back: bool) -> DrawnMatrix:
        """Softmax rows of layers that act again: they mix alike what is alike."""
        return self._drawn.setdefault((("softmax rows", extent), back), DrawnMatrix())

    def real(self, weight: Weight) -> RealMatrix | None:
        """A square matrix that acts so often that its true width is felt (calls² ≥ width): a real sample of it."""
        out, fan_in = weight.shape
        calls = self.reads.get(weight.name, 0)
        if out != fan_in or out > P.distinct() or calls**2 < out or not self.is_repeated(weight):
            return None
        if weight.origin not in self._real:
            self._real[weight.origin] = RealMatrix.of(weight)
        return self._real[weight.origin]

    def note(self, weight: Weight, g: Tensor, x: Tensor | None, extent: Extent) -> None:
        """One call's cotangent and input (None: one, for a bias)."""
        if not weight.learned:
            return
        uses = self._uses.setdefault((weight.origin, weight.turned, extent), _Uses(weight))
        uses.cotangents.append(_Seen.of(g, P.S))
        if x is not None:
            uses.inputs.append(_Seen.of(x, P.distinct()))

    def leaf(self, name: Hashable, make: Callable[[], Tensor]) -> tuple[Tensor, bool]:
        """Particles of a parameter that acts elementwise, the same at every call; and whether they are new."""
        new = name not in self._leaves
        if new:
            self._leaves[name] = make()
        return self._leaves[name], new

    def settle(self, learn: Callable[[Weight, float], None]) -> None:
        """Hand on each matrix' gradient (RMS per element), all calls together."""
        for (_, _, extent), uses in self._uses.items():
            learn(uses.weight, max(_energy(uses, extent), 0.0) ** 0.5)

    def start_over(self) -> None:
        """Forget what a backward pass has drawn and noted."""
        self._uses.clear()
        self._drawn = {key: drawn for key, drawn in self._drawn.items() if not key[-1]}

    def clear(self) -> None:
        """Let go of all particles."""
        for held in (self._drawn, self._real, self._uses, self._leaves):
            held.clear()


def _readers(node: fx.Node) -> list[fx.Node]:
    """Operators that a parameter acts in, also through views of it; tables that are looked up act on nothing."""
    found: list[fx.Node] = []
    for user in node.users:
        if user.op != "call_function" or op_of(user).op in LOOKUPS:
            continue
        if op_of(user).op in SHAPED_LIKE and user.args[0] is not node:
            continue
        found += _readers(user) if op_of(user).op in (*LAYOUT, "unpack") else [user]
    return found


def _energy(uses: _Uses, extent: Extent) -> float:
    """E[dW²] = Σ over pairs of calls of 1ᵀ(K_g ∘ K_x)1 over a batch (see `contraction._weight_energy`)."""
    samples, places, heads = extent
    g = _eigenvalues(uses.cotangents, samples, places)
    if uses.inputs:
        x = _eigenvalues(uses.inputs, samples, places)
    else:
        x = torch.zeros_like(g)
        x[0] = samples * places
    each = zip(P.freedoms(samples, places), g, x, strict=True)
    return heads * sum(n * float((a * b).sum()) for n, a, b in each)


def _eigenvalues(calls: list[_Seen], samples: int, places: int) -> Tensor:
    """`[4, calls, calls]` covariances of pairs of calls along the eigenspaces of a batch."""
    seen = torch.stack([call.unit for call in calls], 1)  # [4, calls, width]
    size = torch.tensor([call.size for call in calls], dtype=P.DTYPE)
    pairs = (seen @ seen.transpose(1, 2)).to(P.DTYPE) / seen.shape[2]
    a, b, c, d = (pairs * size * size[:, None]).unbind(0)
    q, p, s, o = (a + b + c + d) / 4, (a + b - c - d) / 4, (a - b + c - d) / 4, (a - b - c + d) / 4
    found = torch.stack(P.over_batch(q, p, s, o, samples, places))
    own = torch.stack([v.diagonal() for v in (q, p, s, o)], 1).tolist()
    exact = [P.batch_eigenvalues(P.Moments(*m), samples, places) for m in own]
    found.diagonal(dim1=1, dim2=2).copy_(torch.tensor(exact, dtype=P.DTYPE).T)
    return found
