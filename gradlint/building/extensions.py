"""Code in C++ or CUDA that a file compiles when it is imported: here it is not, for it takes minutes and a compiler."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest import mock

import torch

from gradlint.building.stubs import Missing

NAME = "torch.utils.cpp_extension"
_WHY = "code in C++ or CUDA is not compiled when a file is checked"


def _load(name: str = "extension", *_: Any, **__: Any) -> Missing:
    """What stands for a compiled extension: an error where its functions are called, nothing where they are not."""
    return Missing(name, _WHY)


@contextmanager
def uncompiled_extensions() -> Iterator[None]:
    """Inside, `torch.utils.cpp_extension` is a module in which everything may be named, and nothing is built."""
    module, before = _Extensions(NAME), sys.modules.get(NAME)
    vars(module).update(load=_load, load_inline=_load, CUDA_HOME=None, ROCM_HOME=None)
    sys.modules[NAME] = module
    try:
        with mock.patch.object(torch.utils, "cpp_extension", module, create=True):
            yield
    finally:
        del sys.modules[NAME]
        if before is not None:
            sys.modules[NAME] = before


class _Extensions(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Missing(f"{NAME}.{name}", _WHY)
