"""Leave a model, the random generators and the grad mode exactly as they were found, whatever happens in between."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


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

    def watch(self, tensor: torch.Tensor) -> None:
        """Mark a tensor whose memory is to be kept if something is about to write it (see `before_write`)."""
        storage = storage_of(tensor)
        if storage is not None:
            self._watched.add(storage._cdata)

    def before_write(self, tensor: torch.Tensor) -> None:
        """Copy the memory of a watched tensor, or of a view of one."""
        storage = storage_of(tensor)
        if storage is not None and storage._cdata in self._watched:
            self.keep(tensor)

    def keep(self, tensor: torch.Tensor) -> None:
        """Copy the whole storage that `tensor` lies in, once. Fake and sparse tensors have none to copy."""
        storage = storage_of(tensor)
        if storage is not None and storage.device.type != "meta" and storage._cdata not in self._copies:
            copy = torch.UntypedStorage(storage.nbytes(), device=storage.device)  # type: ignore[no-untyped-call]
            self._copies[storage._cdata] = (storage, copy.copy_(storage))

    def restore(self) -> None:
        """Write the copies back. This goes past autograd, so version counters stay as they are."""
        for storage, copy in self._copies.values():
            storage.copy_(copy)
        self._copies.clear()


@contextmanager
def preserved(model: nn.Module) -> Iterator[Backups]:
    """Keep attributes, buffers, training flags and gradients of a model; put them back at the end, also after errors.

    The forward pass may replace attributes (`self.hidden = h`), write buffers (batch-norm statistics) and set `.grad`.
    Parameters and tensors kept as plain attributes are copied only when a write is seen coming: `Backups.before_write`.
    """
    modules = list(model.modules())
    attributes = [(module, dict(module.__dict__)) for module in modules]
    tables = [
        (table, dict(table))
        for module in modules
        for table in (module._parameters, module._buffers, module._modules)
        if isinstance(table, dict)  # a scripted module shows wrappers that cannot be written
    ]
    grads = [(parameter, parameter.grad) for parameter in model.parameters()]
    backups = Backups()
    for buffer in model.buffers():
        backups.keep(buffer)
    for module in modules:
        for value in (*module._parameters.values(), *module.__dict__.values()):
            if isinstance(value, torch.Tensor):
                backups.watch(value)
    try:
        yield backups
    finally:
        for module, values in attributes:
            _refill(module.__dict__, values)
        for table, entries in tables:
            _refill(table, entries)
        backups.restore()
        for parameter, grad in grads:
            if parameter.grad is not grad:
                parameter.grad = grad


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
