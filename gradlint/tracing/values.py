"""Which graph node each tensor of the running forward pass stands for, kept right across in-place writes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import fx

from gradlint.tracing.preserve import storage_of


def storage_key(tensor: torch.Tensor) -> int:
    """Identity of the memory that a tensor lies in; views share it. Tensors without a storage stand for themselves."""
    storage = storage_of(tensor)
    return id(tensor) if storage is None else int(storage._cdata)


@dataclass(slots=True)
class Entry:
    """One tensor object. `node` is None while a constant has not been read by anything that depends on the input."""

    tensor: torch.Tensor  # a strong reference: identities must not be used twice
    node: fx.Node | None
    dependent: bool
    writes: int
    """Writes into the storage that this entry has seen."""


@dataclass(slots=True)
class _Storage:
    writes: int = 0
    writer: fx.Node | None = None
    """Node of the last write; None where it was a constant's."""


class Values:
    """The table from tensors to nodes.

    Args:
        make_constant: makes the node of a constant when it is first needed.
        make_update: makes the node of an alias whose memory another node has written.
    """

    def __init__(
        self,
        make_constant: Callable[[torch.Tensor], fx.Node],
        make_update: Callable[[fx.Node, fx.Node, torch.Tensor], fx.Node],
    ) -> None:
        self._entries: dict[int, Entry] = {}
        self._storages: dict[int, _Storage] = {}
        self._constants: dict[int, list[Entry]] = {}
        self._make_constant = make_constant
        self._make_update = make_update

    def clear(self) -> None:
        """Let go of all tensors."""
        self._entries.clear()
        self._storages.clear()
        self._constants.clear()

    def find(self, tensor: torch.Tensor) -> Entry | None:
        """The entry of a tensor object, if it has been seen."""
        return self._entries.get(id(tensor))

    def depends(self, tensor: torch.Tensor) -> bool:
        """Whether the tensor depends on an input or a parameter, an alias's writes included."""
        entry = self._entries.get(id(tensor))
        if entry is not None and entry.dependent:
            return True
        storage = self._storages.get(storage_key(tensor))
        return storage is not None and storage.writer is not None

    def bind(self, tensor: torch.Tensor, node: fx.Node | None) -> None:
        """Let `tensor` stand for `node` from now on; None binds it as a constant."""
        key = storage_key(tensor)
        storage = self._storages.setdefault(key, _Storage())
        entry = Entry(tensor, node, node is not None, storage.writes)
        self._entries[id(tensor)] = entry
        if node is None:
            self._constants.setdefault(key, []).append(entry)

    def wrote(self, tensor: torch.Tensor, node: fx.Node | None) -> None:
        """Note that the memory of `tensor` has been written by `node`: other views of it are stale from now on."""
        storage = self._storages.setdefault(storage_key(tensor), _Storage())
        storage.writes += 1
        storage.writer = node
        self.bind(tensor, node)

    def before_dependent_write(self, tensor: torch.Tensor) -> None:
        """Snapshot the constants that lie in the memory about to be written by something that is not constant."""
        for entry in self._constants.pop(storage_key(tensor), ()):
            if self._entries.get(id(entry.tensor)) is entry and entry.node is None:
                entry.node = self._make_constant(entry.tensor)

    def read(self, tensor: torch.Tensor) -> fx.Node:
        """The node that stands for the present content of `tensor`."""
        entry = self._entries.get(id(tensor))
        storage = self._storages.setdefault(storage_key(tensor), _Storage())
        if entry is None:
            self.bind(tensor, None)
            entry = self._entries[id(tensor)]
            entry.writes = -1 if storage.writer is not None else storage.writes
        stale = entry.writes != storage.writes
        if stale and storage.writer is None and not entry.dependent:
            entry.node = None  # a constant written by constants: its node would hold the old content
        if entry.node is None:
            entry.node = self._make_constant(tensor)
            entry.dependent = entry.node.op == "call_function"  # a stranger, not a constant
        if stale and storage.writer is not None:
            entry.node = self._make_update(entry.node, storage.writer, tensor)
            entry.dependent = True
        entry.writes = storage.writes
        return entry.node
