"""Which leaves a gradient from the outputs can reach, read off the autograd graph: no backward pass is needed."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch


def leaves_of(outputs: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """All leaves of the outputs' autograd graph, outputs that are leaves themselves included.

    With all of them as inputs, a gradient computation covers the whole graph. Works on fake tensors too.
    """
    found: dict[int, torch.Tensor] = {}
    seen: set[Any] = set()
    pending: list[Any] = []
    for tensor in outputs:
        if tensor.grad_fn is None and tensor.requires_grad:
            found[id(tensor)] = tensor
        pending.append(tensor.grad_fn)
    while pending:
        function = pending.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        variable = getattr(function, "variable", None)
        if variable is not None:
            found[id(variable)] = variable
        pending.extend(following for following, _ in function.next_functions)
    return list(found.values())


def reachable(leaves: Iterable[torch.Tensor], parameters: Mapping[int, str]) -> frozenset[str]:
    """Names of the parameters among the leaves of an autograd graph.

    Args:
        leaves: what `leaves_of` gives.
        parameters: first dotted name by identity of the parameter.
    """
    return frozenset(parameters[id(leaf)] for leaf in leaves if id(leaf) in parameters)
