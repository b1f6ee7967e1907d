"""Training that is spread over processes, where this is the only one: collective calls give what one process gives."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, distributed


@contextmanager
def as_only_process(source: str) -> Iterator[None]:
    """Inside, `dist.get_world_size()` is 1 and `dist.all_gather` copies, where no process group was made.

    Args:
        source: text of the checked file; one that never speaks of `distributed` is left alone.
    """
    if "distributed" not in source or not distributed.is_available():
        yield
        return
    with ExitStack() as stack:
        for name, answer in _ANSWERS.items():
            stack.enter_context(mock.patch.object(distributed, name, _answered(getattr(distributed, name), answer)))
        yield


def _answered(original: Callable[..., Any], answer: Callable[..., Any]) -> Callable[..., Any]:
    """A collective call as torch has it once the user's code has made a group of processes; `answer` before."""

    def call(*args: Any, **kwargs: Any) -> Any:
        if distributed.is_initialized():
            return original(*args, **kwargs)
        asynchronous = kwargs.pop("async_op", False)
        with torch.no_grad():  # no gradient goes through a collective call of torch
            given = answer(*args, **kwargs)
        return _Done() if asynchronous else given

    return call


class _Done:
    """What an asynchronous call gives, long finished."""

    def wait(self, *_: Any, **__: Any) -> bool:
        """Nothing to wait for."""
        return True

    def is_completed(self) -> bool:
        """It always is."""
        return True


def _rank(*_: Any, **__: Any) -> int:
    return 0


def _size(*_: Any, **__: Any) -> int:
    return 1


def _unchanged(*_: Any, **__: Any) -> None:
    """The sum over one process, and what it sends to all others, is what it has."""


def _gathered(tensor_list: list[Tensor], tensor: Tensor, *_: Any, **__: Any) -> None:
    tensor_list[0].copy_(tensor)


def _gathered_whole(output_tensor: Tensor, input_tensor: Tensor, *_: Any, **__: Any) -> None:
    output_tensor.copy_(input_tensor.reshape(output_tensor.shape))


def _gathered_object(object_list: list[Any], obj: Any, *_: Any, **__: Any) -> None:
    object_list[0] = obj


_ANSWERS: dict[str, Callable[..., Any]] = {
    "get_rank": _rank,
    "get_world_size": _size,
    **dict.fromkeys(["all_reduce", "reduce", "broadcast", "barrier", "broadcast_object_list"], _unchanged),
    "all_gather": _gathered,
    "all_gather_into_tensor": _gathered_whole,
    "reduce_scatter_tensor": _gathered_whole,
    "all_gather_object": _gathered_object,
}
