"""Stand-ins for packages that a user's file imports and that are not installed, or cannot be imported here.

Many of them (loggers, plotters, data sets) have nothing to do with the model. A stand-in may be imported, named in
annotations, used as a decorator and derived from, called where nobody looks at what comes back (a logger), and kept by
a constructor (a metric). To run a forward on one, to initialise weights with one, to reckon or to decide with what one
gave is an error which names the package.
"""

import dis
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, FunctionType, ModuleType, TracebackType
from typing import Any

import torch
from torch import nn

from gradlint.building.lightning import LightningModule

_MOST = 40
_IMPORTING = "<frozen importlib"
_NEVER = ("torch", "gradlint")


class MissingPackageError(ImportError):
    """A model needs something of a package that is not installed, or not importable."""

    def __init__(self, path: str, why: str) -> None:
        package = path.partition(".")[0]
        super().__init__(f"it needs {path}, and {why or f'{package} is not installed'}", name=package)
        self.remedy = remedy_for(package, why)


def remedy_for(package: str, why: str) -> str:
    """What to do about a package: absent, or there but of no use for the reason given."""
    if why:
        return f"install a version of {package} that fits the file, torch and Python"
    return f"install {package} in the environment that runs gradlint"


class Missing:
    """Something of a package that is not there; `why` is empty where the whole package is not installed."""

    def __init__(self, path: str, why: str = "") -> None:
        self.__dict__["_path"] = path
        self.__dict__["_why"] = why

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Missing(f"{self._path}.{name}", self._why)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and isinstance(args[0], FunctionType | type):
            return args[0]  # used as a decorator
        is_harmless = bool(_constructing) or _is_discarded(sys._getframe(1))
        if _loading or (is_harmless and not (_constructing and _touches_model((*args, *kwargs.values())))):
            return Missing(f"{self._path}()", self._why)
        return self._needed()

    def _needed(self, *_: Any) -> Any:
        raise MissingPackageError(self._path.removesuffix("()"), self._why)

    __iter__ = __len__ = __int__ = __index__ = __float__ = __contains__ = _needed
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = _needed
    __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = __pow__ = __rpow__ = __neg__ = _needed
    __lt__ = __le__ = __gt__ = __ge__ = _needed

    def __bool__(self) -> bool:
        """What a call gave may not decide anything; that a package is named may."""
        return not self._path.endswith("()") or bool(self._needed())

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


def _is_discarded(caller: FrameType) -> bool:
    """Whether a call is a statement of its own, so that nothing comes of it but what it does."""
    code, here = caller.f_code, caller.f_lasti
    following = (i for i in dis.get_instructions(code) if i.offset > here and i.opname != "CACHE")
    after = next(following, None)
    return after is not None and after.opname == "POP_TOP"


def _touches_model(arguments: tuple[Any, ...]) -> bool:
    """Whether a call could change a model: an initialiser that is handed a weight."""
    return any(isinstance(argument, torch.Tensor | nn.Module) for argument in arguments)


class _MissingModule(ModuleType):
    """A package or module that is not installed."""

    __path__: list[str] = []  # noqa: RUF012 - what makes a module a package

    def __init__(self, name: str, why: str = "") -> None:
        super().__init__(name)
        self.__dict__["_why"] = why

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return Missing(f"{self.__name__}.{name}", self._why)


_loading: list[dict[str, ModuleType]] = []
"""The stand-ins of the load that is running (at most one)."""

_constructing: list[None] = []
"""One entry for each constructor of the user's that is running."""

_lent: list[tuple[ModuleType, str]] = []
"""Names that installed modules do not have, lent to them while a file is loaded."""


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
        while _lent:
            module, attribute = _lent.pop()
            vars(module).pop(attribute, None)


@contextmanager
def constructing() -> Iterator[None]:
    """While a model is built: what a stand-in gives may be kept, and matters only where it is used."""
    _constructing.append(None)
    try:
        yield
    finally:
        _constructing.pop()


def why_missing(module: ModuleType) -> str:
    """Why a stand-in stands there; empty where its package is not installed."""
    return str(vars(module).get("_why", ""))


def absent_base(thing: Any) -> str:
    """The package that a class of the user's takes a base from, where that is not installed; empty where all are."""
    bases = getattr(thing, "__orig_bases__", ())
    return next((str(base._path).partition(".")[0] for base in bases if isinstance(base, Missing)), "")


def stand_in(error: BaseException, folders: list[str]) -> bool:
    """Put up a stand-in for what an import of the user's own files missed; whether to try again.

    A package that fails while it is imported is stood in for as a whole: what it looks for itself is its own business.
    """
    if not _loading or len(_loading[-1]) + len(_lent) >= _MOST:
        return False
    if isinstance(error, ImportError) and imported_by_user(error.__traceback__, folders):
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        return _stand_for(missing, "") if missing else _lend(error)
    package = _broken_package(error.__traceback__, folders)
    said = " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return _stand_for(package, f"{package} is installed but cannot be imported: {said}") if package else False


def _stand_for(name: str, why: str) -> bool:
    if name in _loading[-1] or name.partition(".")[0] in _NEVER:
        return False
    parent, _, last = name.rpartition(".")
    above = _loading[-1].get(parent)
    module = _MissingModule(name, why or (why_missing(above) if above is not None else ""))
    _loading[-1][name] = sys.modules[name] = module
    if above is not None:
        setattr(above, last, module)
    return True


def _lend(error: ImportError) -> bool:
    """Lend an installed module a name that its version does not have."""
    found = re.match(r"cannot import name '(\w+)' from '([\w.]+)'", str(error))
    module = sys.modules.get(found[2]) if found else None
    if found is None or module is None or "site-packages" not in (getattr(module, "__file__", "") or ""):
        return False
    if found[2].partition(".")[0] in _NEVER:
        return False
    setattr(module, found[1], Missing(f"{found[2]}.{found[1]}", f"the {found[2]} installed here has no {found[1]}"))
    _lent.append((module, found[1]))
    return True


def _broken_package(tb: TracebackType | None, folders: list[str]) -> str:
    """The installed package that one of the user's files was importing when it raised; empty where none was."""
    own, below = None, ""
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        if _is_users(filename, folders):
            own, below = tb, ""
        elif own is not None and not below and not filename.startswith(_IMPORTING):
            below = filename
        tb = tb.tb_next
    if own is None or "site-packages/" not in below or not _is_importing(own):
        return ""
    return below.rpartition("site-packages/")[2].partition("/")[0].removesuffix(".py")


def _is_importing(tb: TracebackType) -> bool:
    """Whether an exception came out of an import statement of a frame."""
    here = (i.opname for i in dis.get_instructions(tb.tb_frame.f_code) if i.offset == tb.tb_lasti)
    return next(here, "").startswith("IMPORT")


def imported_by_user(tb: TracebackType | None, folders: list[str]) -> bool:
    """Whether the innermost frame that is no part of the import system belongs to one of the user's files."""
    innermost = ""
    while tb is not None:
        filename = tb.tb_frame.f_code.co_filename
        if not filename.startswith(_IMPORTING):
            innermost = filename
        tb = tb.tb_next
    return _is_users(innermost, folders)


def _is_users(filename: str, folders: list[str]) -> bool:
    installed = "site-packages" in filename or filename.startswith(f"{sys.prefix}/")
    in_folder = any(filename.startswith(folder.rstrip("/") + "/") for folder in folders)
    return not installed and (in_folder or not filename.startswith(("/", "<")))
