"""How each operator that initialisers use changes a sampled law: one small function per family."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._pytree import tree_leaves, tree_map

from gradlint.building.shadow import InitRecorder, rms, same_storage, same_view, share_of_true


@dataclass(frozen=True)
class Call:
    """One operator call on fake tensors."""

    recorder: InitRecorder
    func: Any
    name: str
    """Schema name without namespace and trailing underscore."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: list[torch.Tensor]

    @property
    def out(self) -> torch.Tensor:
        """The first fake output."""
        return self.outputs[0]

    @property
    def mutates(self) -> bool:
        """Whether it writes to its first argument."""
        return bool(self.func._schema.is_mutable)

    def number(self, position: int, name: str, default: float) -> float:
        """A scalar argument, by position or name."""
        value = self.args[position] if len(self.args) > position else self.kwargs.get(name, default)
        return float(value) if isinstance(value, int | float) else default


def follow(recorder: InitRecorder, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], result: Any) -> None:
    """Repeat an operator on the samples of the tensors that it reads and writes."""
    outputs: list[torch.Tensor] = [leaf for leaf in tree_leaves(result) if isinstance(leaf, FakeTensor)]
    name = func._schema.name.rpartition("::")[2].rstrip("_")
    call = Call(recorder, func, name, args, kwargs, outputs)
    rule = _RULES.get(name)
    if rule is None and torch.Tag.pointwise in func.tags:
        rule = _pointwise
    if rule is None:
        _forget(call)
    else:
        rule(call)


def _forget(call: Call) -> None:
    """An operator without a rule: what it writes to becomes unknown, what it returns is."""
    call.recorder.unknown.add(call.name)
    if call.mutates:
        call.recorder.write(call.out, None)


def _uniform(call: Call) -> None:
    low, high = call.number(1, "from", 0.0), call.number(2, "to", 1.0)
    call.recorder.write(call.out, low + (high - low) * call.recorder.uniform(), "uniform")


def _normal(call: Call) -> None:
    if not call.mutates:
        return _forget(call)
    mean, std = call.number(1, "mean", 0.0), call.number(2, "std", 1.0)
    call.recorder.write(call.out, call.recorder.normal(mean, std), "normal")


def _drawn(call: Call) -> None:
    """Other random fills: drawn on a real sample of their own."""
    if not call.mutates:
        return _forget(call)
    rest = [value for value in call.args[1:] if not isinstance(value, torch.Generator)]
    kwargs = {key: value for key, value in call.kwargs.items() if key != "generator"}
    sample = torch.empty(2048, dtype=torch.float64)
    method = getattr(sample, call.name + "_")
    call.recorder.write(call.out, method(*rest, generator=call.recorder.generator, **kwargs), call.name)


def _constant(value: float) -> Callable[[Call], None]:
    def rule(call: Call) -> None:
        call.recorder.write(call.out, call.recorder.constant(value), "zeros" if value == 0 else "constant")

    return rule


def _fill(call: Call) -> None:
    value = call.kwargs.get("fill_value", call.kwargs.get("value", call.args[-1]))
    if isinstance(value, torch.Tensor):
        call.recorder.write(call.out, call.recorder.read(value), "constant")
    else:
        call.recorder.write(call.out, call.recorder.constant(float(value)), "constant")


def _like_normal(call: Call) -> None:
    call.recorder.write(call.out, call.recorder.normal(), "normal")


def _like_uniform(call: Call) -> None:
    call.recorder.write(call.out, call.recorder.uniform(), "uniform")


def _nothing(call: Call) -> None:
    """Uninitialised memory: no law until something is written."""


def _copy(call: Call) -> None:
    source = call.args[1]
    kind = call.recorder.kind(source) if isinstance(source, FakeTensor) else "values"
    call.recorder.write(call.out, call.recorder.read(source), kind)


def _moved(call: Call) -> None:
    """Views share their storage's law already; copies and parts in new storage take it over."""
    source = next(leaf for leaf in tree_leaves(call.args) if isinstance(leaf, torch.Tensor))
    for out in call.outputs:
        if not isinstance(source, FakeTensor) or not same_storage(out, source):
            sample = call.recorder.read(source)
            if sample is not None:
                kind = call.recorder.kind(source) if isinstance(source, FakeTensor) else "values"
                call.recorder.write(out, sample, kind)


def _joined(call: Call) -> None:
    tensors = [leaf for leaf in tree_leaves(call.args) if isinstance(leaf, torch.Tensor)]
    samples = [(call.recorder.read(tensor), tensor.numel()) for tensor in tensors]
    known = [(sample.double(), count) for sample, count in samples if sample is not None]
    call.recorder.write(call.out, call.recorder.mixture(known) if len(known) == len(samples) else None, "values")


def _pointwise(call: Call) -> None:
    samples: list[torch.Tensor] = []
    read: list[torch.Tensor] = []

    def sampled(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        sample = call.recorder.read(value)
        if sample is None:
            raise _UnknownError
        if any(
            same_storage(value, other) and not same_view(value, other)
            for other in read
            if isinstance(value, FakeTensor)
        ):
            sample = sample[
                torch.randperm(sample.numel(), generator=call.recorder.generator)
            ]  # w + w.T: other elements
        if isinstance(value, FakeTensor):
            read.append(value)
        samples.append(sample)
        return sample

    try:
        args, kwargs = tree_map(sampled, (call.args, call.kwargs))
    except _UnknownError:
        return _forget(call)
    size = max(sample.numel() for sample in samples)
    args, kwargs = tree_map(lambda v: _widened(v, size) if isinstance(v, torch.Tensor) else v, (args, kwargs))
    kwargs.pop("device", None)
    result = call.func(*args, **kwargs)
    call.recorder.write(call.out, result.reshape(-1), "" if call.mutates else _first_kind(call))
    return None


class _UnknownError(Exception):
    """A tensor whose law is not known takes part."""


def _widened(sample: torch.Tensor, size: int) -> torch.Tensor:
    if sample.numel() == size:
        return sample.clone()
    return sample[torch.arange(size) % sample.numel()]


def _first_kind(call: Call) -> str:
    first = next((leaf for leaf in tree_leaves(call.args) if isinstance(leaf, FakeTensor)), None)
    return call.recorder.kind(first) if first is not None else "values"


def _reduced(measure: Callable[[torch.Tensor, int], float]) -> Callable[[Call], None]:
    """Reductions over many elements: their expectation, as a constant."""

    def rule(call: Call) -> None:
        source = call.args[0]
        sample = call.recorder.read(source)
        if sample is None or call.out.numel() == 0:
            return _forget(call)
        count = source.numel() // call.out.numel()
        call.recorder.write(call.out, call.recorder.constant(measure(sample.double(), count)), "values")
        return None

    return rule


def _norm(call: Call) -> None:
    order = call.args[1] if len(call.args) > 1 else call.kwargs.get("ord", 2)
    if order not in (2, 2.0, None, "fro"):
        return _forget(call)
    return _reduced(lambda sample, count: rms(sample) * math.sqrt(count))(call)


def _padded(call: Call) -> None:
    """`pad` with a constant: negative numbers cut off."""
    source, widths = call.args[0], call.args[1]
    sample = call.recorder.read(source)
    if sample is None:
        return _forget(call)
    ends = zip(widths[::2], widths[1::2], strict=True)
    cut = [min(before, 0) + min(after, 0) for before, after in ends]
    kept = math.prod(size + c for size, c in zip(reversed(source.shape), [*cut, *[0] * source.dim()], strict=False))
    rest = call.out.numel() - kept
    if not rest:
        return _moved(call)
    parts = [(sample.double(), kept), (call.recorder.constant(call.number(2, "value", 0.0)), rest)]
    return call.recorder.write(call.out, call.recorder.mixture(parts), "values")


def _triangle(call: Call) -> None:
    """`tril`, `triu`: about half of a square matrix is zeroed, exactly as many elements as the diagonal says."""
    sample = call.recorder.read(call.args[0])
    if sample is None or call.out.dim() < 2:
        return _forget(call)
    rows, columns = call.out.shape[-2:]
    shift = int(call.number(1, "diagonal", 0))
    below = sum(min(max(row + shift + 1, 0), columns) for row in range(rows))
    above = rows * columns - sum(min(max(row + shift, 0), columns) for row in range(rows))
    kept = below if call.name == "tril" else above
    parts = [(sample.double(), kept), (call.recorder.constant(0.0), rows * columns - kept)]
    call.recorder.write(call.out, call.recorder.mixture(parts), "values")
    return None


def _orthonormal(call: Call) -> None:
    """QR of a random matrix: Q has orthonormal columns, the signs of R's diagonal are as likely as not."""
    q, r = call.outputs[:2]
    call.recorder.write(q, call.recorder.normal(std=1 / math.sqrt(q.shape[-2])), "orthogonal")
    call.recorder.write(r, call.recorder.normal(), "values")


def _put(call: Call) -> None:
    """`w[index] = value`: a share of the elements takes the value's law."""
    target, indices, values = call.args[0], call.args[1], call.args[2]
    old, new = call.recorder.read(target), call.recorder.read(values)
    if old is None or new is None:
        return _forget(call)
    masks = [index for index in indices if isinstance(index, torch.Tensor) and index.dtype in (torch.bool, torch.uint8)]
    if masks:
        count = round(target.numel() * share_of_true(call.recorder.read(masks[0])))
    else:
        chosen = max((index.numel() for index in indices if index is not None), default=0)
        indexed = math.prod(size for size, index in zip(target.shape, indices, strict=False) if index is not None)
        count = min(target.numel() // max(indexed, 1) * chosen, target.numel())
    parts = [(old.double(), target.numel() - count), (new.double(), count)]
    call.recorder.write(call.out, call.recorder.mixture(parts))
    return None


def _names(text: str, rule: Callable[[Call], None]) -> dict[str, Callable[[Call], None]]:
    return dict.fromkeys(text.split(), rule)


_MOVING = (
    "view _unsafe_view reshape permute transpose t unsqueeze squeeze expand detach alias clone contiguous _to_copy "
    "unbind flip repeat _reshape_alias roll select slice index split chunk split_with_sizes diagonal diagonal_copy "
    "as_strided gather index_select lift_fresh diag diag_embed narrow unfold repeat_interleave"
)
"""Operators that move elements, or take some of them, without changing their values."""

_RULES: dict[str, Callable[[Call], None]] = {
    "uniform": _uniform,
    "normal": _normal,
    "normal_functional": _like_normal,
    **_names("random exponential log_normal cauchy bernoulli geometric", _drawn),
    **_names("zeros new_zeros zeros_like zero", _constant(0.0)),
    **_names("ones new_ones ones_like", _constant(1.0)),
    **_names("full new_full full_like fill", _fill),
    **_names("randn randn_like", _like_normal),
    **_names("rand rand_like", _like_uniform),
    **_names("empty new_empty empty_like empty_strided new_empty_strided", _nothing),
    "copy": _copy,
    **_names(_MOVING, _moved),
    **_names("cat stack", _joined),
    "mean": _reduced(lambda sample, count: sample.mean().item()),
    "sum": _reduced(lambda sample, count: sample.mean().item() * count),
    "var": _reduced(lambda sample, count: sample.var(correction=0).item()),
    "std": _reduced(lambda sample, count: sample.std(correction=0).item()),
    **_names("linalg_vector_norm norm", _norm),
    **_names("tril triu", _triangle),
    "constant_pad_nd": _padded,
    "linalg_qr": _orthonormal,
    **_names("index_put _index_put_impl", _put),
}
