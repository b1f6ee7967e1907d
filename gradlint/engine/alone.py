"""What surrounds every look at a live model: one at a time, gradients possible, tensors made where they have values.

Environment variables and warning filters are put back: parts of torch that are imported on the way set some.
"""

import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")

_one_at_a_time = threading.RLock()
"""While a model runs, `nn.Module.__call__`, modes and random generators of the whole process are gradlint's."""


def alone(look: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Let one thread at a time through; the caller's `inference_mode` and a default device of meta do not reach in."""

    @wraps(look)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Answer:
        with _one_at_a_time, ExitStack() as stack:
            import torch

            stack.enter_context(warnings.catch_warnings())
            stack.enter_context(_environment())
            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
            if torch.get_default_device().type == "meta":
                stack.enter_context(torch.device("cpu"))
            return look(*args, **kwargs)

    return call


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in before.items() if os.environ.get(name) != value})
