"""What surrounds every look at a live model: one at a time, gradients possible, tensors made where they have values."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
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

            if torch.is_inference_mode_enabled():
                stack.enter_context(torch.inference_mode(False))
            if torch.get_default_device().type == "meta":
                stack.enter_context(torch.device("cpu"))
            return look(*args, **kwargs)

    return call
