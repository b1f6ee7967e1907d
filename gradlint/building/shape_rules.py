"""Shapes of operators whose own fake kernels ask for more: a large model is fed and traced without values."""

from collections.abc import Callable, MutableMapping
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from gradlint.building.unread import CHECKS, GUARDED, is_unread, usual_answer


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
    """Inside, operators with a shape rule follow that instead of their fake kernel, and reads of values that are not
    there get the usual answer (a layer is not dropped, a check holds)."""

    def __init__(self) -> None:
        super().__init__()
        made: Any = WeakIdKeyDictionary
        self._checked: MutableMapping[torch.Tensor, str] = made()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call a torch function, or the rule that stands for it."""
        name = getattr(func, "__name__", "")
        if name in GUARDED and args and is_unread(args[0]):
            return usual_answer(name, args[0], self._checked.get(args[0], ""))
        rule: Callable[..., Any] = _RULES.get(name, func)
        result = rule(*args, **(kwargs or {}))
        if name in CHECKS and isinstance(result, torch.Tensor):
            self._checked[result] = name
        return result
