"""The init recorder: a real stratified sample of every fake tensor, on which each in-place initialisation is repeated.

A tensor's law is kept per storage, so that views and `.data` see the same one. A write to a part of a storage (a row
zeroed, a chunk initialised on its own) becomes one component of a mixture.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves

from gradlint.building.seeds import seed_for

SAMPLE = 2048
_MOST_PARTS = 64

Region = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Storage offset, sizes and strides."""


@dataclass
class StorageLaw:
    """What is known of the elements of one storage."""

    storage: Any
    """Held so that its address stays its own."""
    numel: int
    parts: dict[Region, tuple[torch.Tensor, int]] = field(default_factory=dict)
    """Region → (sample, number of elements), in order of writing."""
    kind: str = "uninitialised"


class InitRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Watches what is done to fake tensors while a model is constructed."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.laws: dict[int, StorageLaw] = {}
        self.generator = torch.Generator().manual_seed(seed_for("laws"))
        self.unknown: set[str] = set()
        """Operators whose effect on a law is not known."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Run the operator, then repeat it on the samples."""
        from gradlint.building.shadow_rules import follow

        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if any(isinstance(leaf, FakeTensor) for leaf in tree_leaves(result)):
            with _disable_current_modes():
                follow(self, func, args, kwargs, result)
        return result

    def created(self, tensor: torch.Tensor, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Note what a factory call drew."""
        with _disable_current_modes():
            match name:
                case "zeros":
                    self.write(tensor, self.constant(0.0), "zeros")
                case "ones":
                    self.write(tensor, self.constant(1.0), "constant")
                case "full":
                    value = kwargs.get("fill_value", args[-1] if args else 0.0)
                    self.write(tensor, self.constant(float(value)), "constant")
                case "rand":
                    self.write(tensor, self.uniform(), "uniform")
                case "randn" | "normal":
                    self.write(tensor, self.normal(*_moments(name, args, kwargs)), "normal")
                case "eye":
                    self.write(
                        tensor,
                        self.mixture([(self.constant(1.0), 1), (self.constant(0.0), tensor.shape[0] - 1)]),
                        "eye",
                    )

    def uniform(self) -> torch.Tensor:  # [2048]
        """A stratified sample of U(0, 1), in random order."""
        order = torch.randperm(SAMPLE, generator=self.generator).double()
        return (order + 0.5) / SAMPLE

    def normal(self, mean: float = 0.0, std: float = 1.0) -> torch.Tensor:  # [2048]
        """A stratified sample of a normal law, its standard deviation exact."""
        drawn: torch.Tensor = torch.special.ndtri(self.uniform())
        return drawn / drawn.std(correction=0) * std + mean

    def truncated_normal(self, mean: float, std: float, low: float, high: float) -> torch.Tensor:  # [2048]
        """A stratified sample of a normal law cut off at both ends."""
        bounds = torch.special.ndtr(torch.tensor([(low - mean) / std, (high - mean) / std], dtype=torch.float64))
        within = bounds[0] + (bounds[1] - bounds[0]) * self.uniform()
        drawn: torch.Tensor = torch.special.ndtri(within) * std + mean
        return drawn.clamp(low, high)

    def constant(self, value: float) -> torch.Tensor:  # [1]
        """The law of a constant."""
        return torch.full((1,), value, dtype=torch.float64)

    def mixture(self, parts: Iterable[tuple[torch.Tensor, int]]) -> torch.Tensor:
        """One sample of several laws, each with its number of elements."""
        chosen = [(sample, count) for sample, count in parts if count > 0]
        if len({tuple(sample.tolist()) for sample, _ in chosen if sample.numel() == 1}) == 1 == len(chosen):
            return chosen[0][0]
        total = sum(count for _, count in chosen)
        drawn = []
        for sample, count in chosen:
            size = max(round(SAMPLE * count / total), 1)
            at = torch.randperm(sample.numel(), generator=self.generator)
            drawn.append(sample[at[torch.arange(size) % sample.numel()]])
        joined = torch.cat(drawn)
        return joined[torch.randperm(joined.numel(), generator=self.generator)]

    def read(self, tensor: torch.Tensor) -> torch.Tensor | None:
        """The sample of a tensor, real or fake; None where its law is not known."""
        if not isinstance(tensor, FakeTensor):
            return self._of_real(tensor)
        law = self.laws.get(_address(tensor))
        if law is None or not law.parts:
            return None
        own = law.parts.get(_region(tensor))
        overwritten = len(law.parts) > 1 and tensor.numel() >= law.numel
        return own[0] if own is not None and not overwritten else self._whole(law)

    def _of_real(self, tensor: torch.Tensor) -> torch.Tensor:
        flat = tensor.detach().reshape(-1)
        if flat.numel() > 1:
            flat = flat[torch.randint(flat.numel(), (SAMPLE,), generator=self.generator)]
        return flat if flat.dtype is torch.bool else flat.double()

    def _whole(self, law: StorageLaw) -> torch.Tensor:
        parts = list(law.parts.values())
        largest = max(range(len(parts)), key=lambda index: parts[index][1])
        others = sum(count for index, (_, count) in enumerate(parts) if index != largest)
        sample, count = parts[largest]
        parts[largest] = (sample, max(count - others, 0) if count == law.numel else count)
        return self.mixture(parts)

    def write(self, tensor: torch.Tensor, sample: torch.Tensor | None, kind: str = "") -> None:
        """Give a tensor (or the part of a storage that it views) a law; None makes it unknown."""
        address = _address(tensor)
        law = self.laws.get(address)
        if law is None:
            storage = tensor.untyped_storage()
            law = self.laws[address] = StorageLaw(storage, storage.nbytes() // max(tensor.element_size(), 1))
        if sample is None:
            law.parts.clear()
            law.kind = "unknown"
            return
        if tensor.numel() >= law.numel:
            law.parts.clear()
            law.kind = kind or law.kind
        law.parts[_region(tensor)] = (sample, tensor.numel())
        if law.kind == "uninitialised" and kind:
            law.kind = kind
        if len(law.parts) > _MOST_PARTS:
            merged = self._whole(law)
            law.parts = {_region(tensor): (merged, law.numel)}

    def kind(self, tensor: torch.Tensor) -> str:
        """Kind of the last call that initialised a tensor."""
        law = self.laws.get(_address(tensor))
        return law.kind if law is not None else "uninitialised"


def _moments(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[float, float]:
    if name == "randn":
        return 0.0, 1.0
    numbers = [float(value) for value in args if isinstance(value, int | float)]
    mean = float(kwargs.get("mean", numbers[0] if numbers else 0.0))
    return mean, float(kwargs.get("std", numbers[1] if len(numbers) > 1 else 1.0))


def _address(tensor: torch.Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _region(tensor: torch.Tensor) -> Region:
    return int(tensor.storage_offset()), tuple(tensor.shape), tuple(tensor.stride())


def same_storage(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two fake tensors view one storage."""
    return _address(left) == _address(right)


def same_view(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two fake tensors view the same elements in the same order."""
    return same_storage(left, right) and _region(left) == _region(right)


def share_of_true(sample: torch.Tensor | None) -> float:
    """Share of a boolean sample that is true (a half where it is not known)."""
    return 0.5 if sample is None else sample.double().mean().item()


def rms(sample: torch.Tensor) -> float:
    """Root mean square of a sample."""
    return math.sqrt(sample.square().mean().item())
