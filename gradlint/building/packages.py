"""The package of a checked file: entered without running its `__init__`, until something needs that."""

import importlib
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType

from gradlint.building.failure import analysis_error
from gradlint.core.location import Location


class _Shell(ModuleType):
    """A package whose `__init__` is not run, or not yet."""

    is_filled = False


def enter_package(package: str, outside: Path, path: str, *, stubbed: bool) -> None:
    """Make relative imports work; without running the package's `__init__`, unless that turns out to be needed.

    Args:
        package: dotted name.
        outside: the folder that holds the outermost package.
        path: the checked file.
        stubbed: whether `__init__` is left out.

    Raises:
        AnalysisError: stage "import", where `__init__` is run and raises.
    """
    if not stubbed:
        try:
            importlib.import_module(package)
        except BaseException as error:
            doing = f"importing the package {package}"
            raise analysis_error(error, stage="import", doing=doing, path=path, fallback=Location(path, 1)) from error
        return
    parts = package.split(".")
    for depth in range(1, len(parts) + 1):
        dotted = ".".join(parts[:depth])
        if dotted not in sys.modules:
            shell = _Shell(dotted)
            shell.__path__ = [str(outside.joinpath(*parts[:depth]))]
            shell.__file__ = str(outside.joinpath(*parts[:depth], "__init__.py"))
            sys.modules[dotted] = shell


def fill_package(error: ImportError) -> bool:
    """Run the `__init__` of the package that an import missed a name in; whether to try again."""
    shell = sys.modules.get(error.name or "")
    if not isinstance(shell, _Shell) or shell.is_filled or not Path(str(shell.__file__)).is_file():
        return False
    shell.is_filled = True
    shell.__package__ = shell.__name__
    code = compile(Path(str(shell.__file__)).read_bytes(), str(shell.__file__), "exec", dont_inherit=True)
    exec(code, shell.__dict__)
    return True


def forget_package(name: str, before: Collection[str]) -> None:
    """Drop the package of a module, and everything of it that was not known before."""
    top = name.partition(".")[0]
    for known in [key for key in sys.modules if key not in before and key.partition(".")[0] == top]:
        del sys.modules[known]
