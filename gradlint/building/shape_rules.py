"""Shapes of operators whose own fake kernels ask for more: a large model is fed and traced without values."""

from collections.abc import Callable, MutableMapping
from typing import Any
from weakref import WeakKeyDictionary

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


_MIXING = frozenset(["add", "sub", "mul", "div", "cat"])
"""Operators whose result has no values as soon as one operand has none."""
_twins: MutableMapping[Any, dict[Any, torch.Tensor]] = WeakKeyDictionary()


def without_values(op: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with fake tensors in place of the real ones that stand beside fake ones.

    torch converts a real operand anew at each call, and looks up no such call in its cache of results.
    """
    if op not in _MIXING or not args:
        return args
    operands = args[0] if op == "cat" else args[:2]
    mode = next((value.fake_mode for value in operands if is_unread(value)), None)
    if mode is None or all(is_unread(value) for value in operands):
        return args
    known = _twins.setdefault(mode, {})
    changed = [_twin(value, mode, known) for value in operands]
    return (changed, *args[1:]) if op == "cat" else (*changed, *args[2:])


def _twin(value: Any, mode: Any, known: dict[Any, torch.Tensor]) -> Any:
    """The one fake tensor that stands for all real ones of a kind; what learns or is a single number stays."""
    if type(value) is not torch.Tensor or value.requires_grad or value.dim() == 0 or value.layout is not torch.strided:
        return value
    kind = (value.shape, value.stride(), value.dtype, value.device)
    if kind not in known:
        known[kind] = mode.from_tensor(value, static_shapes=True)
    return known[kind]


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
        result = rule(*without_values(name, args), **(kwargs or {}))
        if name in CHECKS and isinstance(result, torch.Tensor):
            self._checked[result] = name
        return result
