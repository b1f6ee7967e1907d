"""Shapes of operators whose own fake kernels ask for more: a large model is fed and traced without values."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


def grouped_mm(a: torch.Tensor, b: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
    """Shape rule of `grouped_mm`, whose own kernel refuses float32."""
    if a.dim() == 2 and b.dim() == 3:
        return a @ b[0]
    if a.dim() == 3 and b.dim() == 2:
        return (a @ b.new_zeros(a.size(0), b.size(0), b.size(1))).reshape(-1, b.size(1))
    if a.dim() == 2:
        offsets = args[0] if args else kwargs.get("offs")
        groups = offsets.numel() if offsets is not None else 1
        return (a @ b).expand(groups, a.size(0), b.size(1))
    return a @ b


_RULES = {"grouped_mm": grouped_mm, "_grouped_mm": grouped_mm}


class ShapeRules(TorchFunctionMode):
    """Inside, operators with a shape rule follow that instead of their fake kernel."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a torch function, or the rule that stands for it."""
        rule: Callable[..., Any] = _RULES.get(getattr(func, "__name__", ""), func)
        return rule(*args, **(kwargs or {}))
