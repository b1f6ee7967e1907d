"""Stand-ins for packages that a user's file imports and nobody has installed.

Many of them (loggers, plotters, data sets) have nothing to do with the model. A stand-in may be imported, named in
annotations, used as a decorator and derived from; building or running a model that calls one is an error which names
the package.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType, ModuleType, TracebackType
from typing import Any

from gradlint.building.lightning import LightningModule

_MOST = 40


class MissingPackageError(ImportError):
    """A model needs something of a package that is not installed."""


class Missing:
    """Something of a package that is not installed."""

    def __init__(self, path: str) -> None:
        self.__dict__["_path"] = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Missing(f"{self._path}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and isinstance(args[0], FunctionType | type):
            return args[0]  # used as a decorator
        if _loading:
            return Missing(f"{self._path}()")
        package = self._path.partition(".")[0]
        raise MissingPackageError(f"it needs {self._path}, and {package} is not installed", name=package)

    def __getitem__(self, key: Any) -> "Missing":
        return self

    def __or__(self, other: Any) -> "Missing":
        return self

    __ror__ = __or__

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[type, ...]:
        return (LightningModule,) if self._path.endswith(".LightningModule") else ()

    def __instancecheck__(self, instance: Any) -> bool:
        return False

    def __repr__(self) -> str:
        return f"<{self._path}, which is not installed>"


class _MissingModule(ModuleType):
    """A package or module that is not installed."""

    __path__: list[str] = []  # noqa: RUF012 - what makes a module a package

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.__name__}.{name}")


_loading: list[dict[str, ModuleType]] = []
"""The stand-ins of the load that is running (at most one)."""


@contextmanager
def standing_in() -> Iterator[dict[str, ModuleType]]:
    """While a file is loaded: the stand-ins put into `sys.modules`, by name. Afterwards they are taken out again, so
    that no library takes them for the real thing."""
    made: dict[str, ModuleType] = {}
    _loading.append(made)
    try:
        yield made
    finally:
        _loading.pop()
        for name, module in made.items():
            if sys.modules.get(name) is module:
                del sys.modules[name]


def absent_base(thing: Any) -> str:
    """The package that a class of the user's takes a base from, where that is not installed; empty where all are."""
    bases = getattr(thing, "__orig_bases__", ())
    return next((str(base._path).partition(".")[0] for base in bases if isinstance(base, Missing)), "")


def stand_in(error: BaseException, folders: list[str]) -> bool:
    """Put up a stand-in for the module that an import of the user's own files missed; whether to try again.

    Imports that fail inside installed packages are not answered: those packages look for optional parts that way.
    """
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if not _loading or not missing or len(_loading[-1]) >= _MOST or missing in _loading[-1]:
        return False
    if missing.partition(".")[0] in ("torch", "gradlint") or not imported_by_user(error.__traceback__, folders):
        return False
    module = _MissingModule(missing)
    _loading[-1][missing] = sys.modules[missing] = module
    parent, _, last = missing.rpartition(".")
    if parent in _loading[-1]:
        setattr(_loading[-1][parent], last, module)
    return True


def imported_by_user(tb: TracebackType | None, folders: list[str]) -> bool:
    """Whether the innermost frame that is no part of the import system belongs to one of the user's files."""
    innermost = ""
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        if not filename.startswith("<frozen importlib"):
            innermost = filename
        tb = tb.tb_next
    installed = "site-packages" in innermost or innermost.startswith(f"{sys.prefix}/")
    in_folder = any(innermost.startswith(folder.rstrip("/") + "/") for folder in folders)
    return not installed and (in_folder or not innermost.startswith("/"))
