"""Leave a model, the random generators and the grad mode exactly as they were found, whatever happens in between."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.utils import _device

from gradlint.building.holdings import Holdings
from gradlint.building.seeds import seed_for
from gradlint.building.surroundings import module_class_kept


def storage_of(tensor: torch.Tensor) -> torch.UntypedStorage | None:
    """The memory of a tensor; None for those that have none of their own (sparse, nested, under `vmap`)."""
    if tensor.layout is not torch.strided:
        return None
    try:
        return tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):
        return None


class Backups:
    """Contents of storages that a forward pass may write, copied before they are written."""

    def __init__(self) -> None:
        self._copies: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}
        self._watched: set[int] = set()
        self._versions: list[tuple[torch.Tensor, int]] = []

    def watch(self, tensor: torch.Tensor) -> None:
        """Mark a tensor whose memory is to be kept if something is about to write it (see `before_write`)."""
        storage = storage_of(tensor)
        if storage is not None:
            self._watched.add(storage._cdata)
            self._remember(tensor)

    def before_write(self, tensor: torch.Tensor) -> None:
        """Copy the memory of a watched tensor, or of a view of one."""
        storage = storage_of(tensor)
        if storage is not None and storage._cdata in self._watched:
            self.keep(tensor)

    def keep(self, tensor: torch.Tensor) -> None:
        """Copy the whole storage that `tensor` lies in, once. Fake and sparse tensors have none to copy."""
        storage = storage_of(tensor)
        self._remember(tensor)
        if storage is not None and storage.device.type != "meta" and storage._cdata not in self._copies:
            copy = torch.UntypedStorage(storage.nbytes(), device=storage.device)  # type: ignore[no-untyped-call]
            self._copies[storage._cdata] = (storage, copy.copy_(storage))

    def restore(self) -> None:
        """Write the copies back, and the version counters: a graph that the caller holds still fits the contents."""
        for storage, copy in self._copies.values():
            if storage.nbytes() != copy.nbytes():  # observers resize their buffers
                storage.resize_(copy.nbytes())
            storage.copy_(copy)
        self._copies.clear()
        moved = [(tensor, version) for tensor, version in self._versions if tensor._version != version]
        torch._C._autograd._unsafe_set_version_counter(
            tuple(tensor for tensor, _ in moved), tuple(version for _, version in moved)
        )
        self._versions.clear()

    def _remember(self, tensor: torch.Tensor) -> None:
        if not tensor.is_inference():  # those have no counter
            self._versions.append((tensor, tensor._version))


@contextmanager
def defaults() -> Iterator[None]:
    """Put back torch's default dtype and device, which a forward may set."""
    dtype, device = torch.get_default_dtype(), _device.CURRENT_DEVICE
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        if device != _device.CURRENT_DEVICE:
            torch.set_default_device(device)


@contextmanager
def preserved(model: nn.Module) -> Iterator[Backups]:
    """Keep attributes, buffers, training flags and gradients of a model; put them back at the end, also after errors.

    So it is with caches that hang on attributes, in containers and plain objects (see `Holdings` for how far down).

    The forward pass may replace attributes (`self.hidden = h`), write buffers (batch-norm statistics) and set `.grad`.
    Parameters and tensors kept as plain attributes are copied only when a write is seen coming: `Backups.before_write`.
    """
    modules = list(model.modules())
    attributes = [(module, dict(module.__dict__)) for module in modules]
    holdings = Holdings(modules)
    modules += holdings.hidden
    loose = [tensor for tensor in holdings.tensors if tensor.is_leaf]
    leaves = {id(leaf): leaf for leaf in [*model.parameters(), *loose]}
    parameters = [_Parameter(leaf) for leaf in leaves.values()]
    backups = Backups()
    bodies = []
    for buffer in [buffer for module in modules for buffer in module._buffers.values() if buffer is not None]:
        backups.keep(buffer)
        bodies.append(_Body(buffer))
    for value in [*leaves.values(), *holdings.tensors]:
        backups.watch(value)
        bodies.append(_Body(value))
    try:
        with defaults(), module_class_kept():
            yield backups
    finally:
        for module, values in attributes:
            _refill(module.__dict__, values)
        holdings.restore()
        for body in bodies:
            body.restore()
        backups.restore()
        for parameter in parameters:
            parameter.restore()


class _Body:
    """The memory that a tensor stands on: `weight.data = …` in a forward puts it on another."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor
        self._alias = tensor.detach()

    def restore(self) -> None:
        """Put the tensor back on its memory, in its shape."""
        now, then = storage_of(self._tensor), storage_of(self._alias)
        moved = now is not None and then is not None and now._cdata != then._cdata
        if moved or self._tensor.shape != self._alias.shape:
            self._tensor.data = self._alias


class _Parameter:
    """What hangs on a parameter, or another leaf, beside its value: the gradient, whether it wants one, its hooks."""

    def __init__(self, parameter: torch.Tensor) -> None:
        self._parameter = parameter
        self._grad = parameter.grad
        self._wants = parameter.requires_grad
        self._hooks = parameter._backward_hooks
        self._hooked = dict(self._hooks) if self._hooks is not None else {}

    def restore(self) -> None:
        """Put back what has changed."""
        parameter = self._parameter
        if parameter.grad is not self._grad:
            parameter.grad = self._grad
        if parameter.requires_grad != self._wants:
            parameter.requires_grad_(self._wants)
        if self._hooks is not None:
            _refill(self._hooks, self._hooked)  # type: ignore[arg-type]
        if parameter._backward_hooks is not self._hooks:
            parameter._backward_hooks = self._hooks


def _refill(table: dict[str, Any], entries: dict[str, Any]) -> None:
    if table.keys() != entries.keys() or any(table[key] is not entries[key] for key in entries):
        table.clear()
        table.update(entries)


@contextmanager
def random_state(seed: int | None = 0) -> Iterator[None]:
    """Run with the generators of torch, Python and numpy seeded; afterwards they go on as if nothing had happened."""
    cpu = torch.default_generator.get_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    python = random.getstate()
    numpy = sys.modules.get("numpy.random")  # importing it only to look would take longer than a small model
    legacy = numpy.get_state() if numpy is not None else None
    if seed is not None:
        seed = seed_for("forward", seed)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would queue a seed for every device
        random.seed(seed)
        if cuda is not None:
            torch.cuda.manual_seed_all(seed)
        if numpy is not None:
            numpy.seed(seed)
    try:
        yield
    finally:
        torch.default_generator.set_state(cpu)
        random.setstate(python)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        if numpy is not None:
            numpy.set_state(legacy)


def refresh_flat_weights(model: nn.Module) -> None:
    """Make fused recurrences read their registered parameters (building may have replaced them by fake ones)."""
    for module in model.modules():
        names = getattr(module, "_flat_weights_names", None)
        if isinstance(module, nn.RNNBase) and names:
            module.__dict__["_flat_weights"] = [getattr(module, name, None) for name in names]
