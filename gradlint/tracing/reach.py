"""Which parameters a gradient from the outputs can reach, read off the autograd graph: no backward pass is needed."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch


def reachable(outputs: Iterable[torch.Tensor], parameters: Mapping[int, str]) -> frozenset[str]:
    """Names of the parameters among the leaves of the outputs' autograd graph.

    Args:
        outputs: floating output tensors of the forward pass.
        parameters: first dotted name by identity of the parameter.
    """
    found: set[str] = set()
    seen: set[Any] = set()
    pending: list[Any] = []
    for tensor in outputs:
        pending.append(tensor.grad_fn)
        if tensor.grad_fn is None and tensor.requires_grad and id(tensor) in parameters:
            found.add(parameters[id(tensor)])  # the model returns the parameter itself
    while pending:
        function = pending.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        variable = getattr(function, "variable", None)
        if variable is not None and id(variable) in parameters:
            found.add(parameters[id(variable)])
        pending.extend(following for following, _ in function.next_functions)
    return frozenset(found)
