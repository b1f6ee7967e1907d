"""Canonical operator names: in-place, dunder, method and private spellings of one operator are one name."""

from collections.abc import Callable
from typing import Any

PROPERTIES = frozenset({"data", "T", "mT", "H", "mH", "real", "imag"})
"""Tensor properties that give a tensor of the same graph; all others are queries and not recorded."""

_REFLECTED = {
    "__radd__": "add",
    "__rmul__": "mul",
    "__rsub__": "rsub",
    "__rpow__": "pow",
    "__rdiv__": "div",
    "__rtruediv__": "div",
    "__rmatmul__": "matmul",
    "__rfloordiv__": "floor_divide",
    "__rmod__": "remainder",
    "__rand__": "bitwise_and",
    "__ror__": "bitwise_or",
    "__rxor__": "bitwise_xor",
    "__rlshift__": "bitwise_left_shift",
    "__rrshift__": "bitwise_right_shift",
}

_SYNONYMS = {
    "absolute": "abs",
    "and": "bitwise_and",
    "bfloat16": "to",
    "bool": "to",
    "clip": "clamp",
    "concat": "cat",
    "concatenate": "cat",
    "cpu": "to",
    "cuda": "to",
    "data": "detach",
    "deepcopy": "clone",
    "divide": "div",
    "double": "to",
    "expit": "sigmoid",
    "float": "to",
    "floordiv": "floor_divide",
    "greater": "gt",
    "greater_equal": "ge",
    "half": "to",
    "int": "to",
    "invert": "bitwise_not",
    "less": "lt",
    "less_equal": "le",
    "long": "to",
    "lshift": "bitwise_left_shift",
    "max_pool1d_with_indices": "max_pool1d",
    "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "adaptive_max_pool2d_with_indices": "adaptive_max_pool2d",
    "mod": "remainder",
    "moveaxis": "movedim",
    "multiply": "mul",
    "negative": "neg",
    "not_equal": "ne",
    "or": "bitwise_or",
    "pos": "positive",
    "row_stack": "vstack",
    "rrelu_with_noise": "rrelu",
    "rshift": "bitwise_right_shift",
    "short": "to",
    "special_expit": "sigmoid",
    "special_log_softmax": "log_softmax",
    "special_softmax": "softmax",
    "subtract": "sub",
    "swapaxes": "transpose",
    "swapdims": "transpose",
    "true_divide": "div",
    "truediv": "div",
    "type": "to",
    "xor": "bitwise_xor",
    "_softmax": "softmax",
    "_log_softmax": "log_softmax",
    "_grouped_mm": "grouped_mm",
    "_weight_norm": "weight_norm",
    "_upsample_bilinear2d_aa": "upsample_bilinear2d_aa",
    "_upsample_bicubic2d_aa": "upsample_bicubic2d_aa",
    "_upsample_nearest_exact1d": "upsample_nearest_exact1d",
    "_upsample_nearest_exact2d": "upsample_nearest_exact2d",
    "_upsample_nearest_exact3d": "upsample_nearest_exact3d",
    "_pack_padded_sequence": "pack_padded_sequence",
    "_pad_packed_sequence": "pad_packed_sequence",
}

_AUGMENTED = frozenset(  # `__iadd__` and its like
    ["add", "sub", "mul", "div", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift"]
)

_NOT_MUTATING = frozenset({"requires_grad_", "retain_grad", "share_memory_", "rename_", "_is_view"})


def raw_name(func: Callable[..., Any]) -> str:
    """Name as torch spells it; for a property the property's own name."""
    name = getattr(func, "__name__", None) or type(func).__name__
    if name in ("__get__", "__set__", "__delete__"):
        return str(getattr(getattr(func, "__self__", None), "__name__", name))
    return str(name).removesuffix(".default")


def is_property(func: Callable[..., Any], accessor: str = "__get__") -> bool:
    """Whether `func` reads (or with `__set__` writes) a property of a tensor."""
    return getattr(func, "__name__", "") == accessor


def is_reflected(func: Callable[..., Any]) -> bool:
    """Whether the operands stand in reverse order (`2 ** x`), other than in `rsub`, which keeps its name."""
    name = getattr(func, "__name__", "")
    return name in _REFLECTED and name != "__rsub__"


def canonical(func: Callable[..., Any]) -> str:
    """The canonical operator name of a torch function, method or property."""
    name = raw_name(func)
    if name in _REFLECTED:
        return _REFLECTED[name]
    if name.startswith("__") and name.endswith("__"):
        name = name[2:-2]
        if name.startswith("i") and name[1:] in _AUGMENTED:
            name = name[1:]
    elif name.endswith("_") and len(name) > 1:
        name = name.rstrip("_")
    name = name.removesuffix("_copy") if name.endswith("_copy") else name
    return _SYNONYMS.get(name, name)


def is_inplace(func: Callable[..., Any], kwargs: dict[str, Any]) -> bool:
    """Whether the call writes into an argument: a trailing underscore, an augmented assignment, `out=`, `x[i] = v`."""
    name = getattr(func, "__name__", "") or ""
    if name in _NOT_MUTATING:
        return False
    if name == "__setitem__" or kwargs.get("out") is not None:
        return True
    if name.startswith("__") and name.endswith("__"):
        return name.startswith("__i") and name[3:-2] in _AUGMENTED
    return name.endswith("_") and not name.endswith("__")


STEPS = frozenset(
    {
        *("sign", "sgn", "round", "floor", "ceil", "trunc", "heaviside", "floor_divide", "argmax", "topk", "sort"),
        *("eq", "ne", "lt", "gt", "le", "ge"),
    }
)
"""Operators whose derivative is zero or nothing: an `autograd.Function` around one has a backward of its own making."""
