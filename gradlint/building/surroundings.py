"""The interpreter as the user's code finds it: import path, arguments, random state; all of it put back afterwards."""

import argparse
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch
from torch import nn

from gradlint.building.extensions import uncompiled_extensions

_SEED = 0
_PROTECTED = ("gradlint", "gradlint_rules", "torch", "numpy")


@contextmanager
def seeded(seed: int | None = _SEED) -> Iterator[None]:
    """Fixed random numbers inside, the caller's random state afterwards (torch, random, numpy where it is in use)."""
    numpy_random: Any = sys.modules.get("numpy.random")  # importing it takes longer than building a small model
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    state, plain_state = torch.get_rng_state(), random.getstate()
    devices = [torch.cuda.get_rng_state_all()] if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    try:
        if seed is not None:
            torch.manual_seed(seed)
            random.seed(seed)
            if numpy_random is not None:
                numpy_random.seed(seed)
        yield
    finally:
        torch.set_rng_state(state)
        random.setstate(plain_state)
        if numpy_state is not None:
            numpy_random.set_state(numpy_state)
        for states in devices:
            torch.cuda.set_rng_state_all(states)


@contextmanager
def uncompiled() -> Iterator[None]:
    """Run what `torch.compile` has wrapped as it stands: a compiled function hides its operators."""
    if "torch._dynamo" not in sys.modules:  # then nothing is compiled, and it would take a second to import
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def module_class_kept() -> Iterator[None]:
    """Put back what a forward replaces in `nn.Module` itself, as the first call of a compiled function does."""
    kept = dict(vars(nn.Module))
    try:
        yield
    finally:
        for name in vars(nn.Module).keys() - kept.keys():
            delattr(nn.Module, name)
        for name, member in kept.items():
            if vars(nn.Module).get(name) is not member:
                setattr(nn.Module, name, member)


def package_of(path: Path) -> tuple[str, Path]:
    """Dotted name of a file and the folder that holds its outermost package (or the file itself)."""
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        parts.insert(0, folder.name)
        folder = folder.parent
    return ".".join(parts), folder


def search_path(path: Path, root: str | None) -> list[str]:
    """Folders that a user's file may import siblings from: that of its outermost package (its own folder, where it is
    in none), the repository's root, the working directory, and at last its own folder.
    """
    _, outside = package_of(path)
    folders = [outside, Path(root) if root else _repository(path), Path.cwd(), path.parent]
    return list(dict.fromkeys(str(folder.resolve()) for folder in folders))


def _repository(path: Path) -> Path:
    for folder in path.parents:
        if (folder / ".git").exists() or (folder / "pyproject.toml").is_file():
            return folder
    return path.parent


_parse_known_args = argparse.ArgumentParser.parse_known_args


def _parse_defaults(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
    """Nobody is there to give what a script requires on its command line: it gets None, as options without default."""
    actions = parser._actions
    required = [(action, action.required, action.nargs) for action in actions]
    for action in actions:
        action.required = False
        if not action.option_strings and action.nargs is None:
            action.nargs = "?"
    try:
        return _parse_known_args(parser, *args, **kwargs)
    finally:
        for action, needed, nargs in required:
            action.required, action.nargs = needed, nargs


@contextmanager
def as_script(path: Path, folders: list[str]) -> Iterator[None]:
    """Let user code import its siblings, with an empty command line; what it changes here is put back."""
    saved_path, saved_argv = list(sys.path), list(sys.argv)
    dtype, gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    sys.path[:0] = [folder for folder in folders if folder not in sys.path[:1]]
    sys.argv[:] = [str(path)]
    try:
        with mock.patch.object(argparse.ArgumentParser, "parse_known_args", _parse_defaults), uncompiled_extensions():
            yield
    finally:
        sys.path[:] = saved_path
        sys.argv[:] = saved_argv
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)


def forget_modules(before: set[str], folders: list[str]) -> None:
    """Drop the siblings that a file imported: the next file may have others of the same name."""
    prefixes = tuple(folder.rstrip("/") + "/" for folder in folders)
    origins = {
        name: _origin(sys.modules.get(name)) for name in set(sys.modules) - before
    }  # a parent leaves none behind
    for name, origin in origins.items():
        if name.partition(".")[0] in _PROTECTED or origin is None or "site-packages" in origin:
            continue
        if str(Path(origin).resolve()).startswith(prefixes) and not origin.startswith(sys.prefix):
            del sys.modules[name]


def _origin(module: ModuleType | None) -> str | None:
    """The file of a module; of a package without `__init__`, the folder that it remembers."""
    origin = getattr(module, "__file__", None)
    if origin is None and type(module) is ModuleType:
        try:
            origin = next((entry for entry in getattr(module, "__path__", ()) if isinstance(entry, str)), None)
        except KeyError:  # its parent is gone: the import of that has failed
            return None
    return origin if isinstance(origin, str) else None
