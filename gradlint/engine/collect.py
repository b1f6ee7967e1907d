"""Which files a run looks at: paths, directories and named targets, in a fixed order, each file once."""

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.machinery import PathFinder
from pathlib import Path

from gradlint.config import Config, nearest
from gradlint.core.report import Skipped
from gradlint.discovery.cells import SUFFIX
from gradlint.discovery.ignored import IgnoreFiles, is_entered

STDIN = "-"
_SUFFIXES = (".py", SUFFIX)
_NEVER_CHECKED = frozenset(["setup.py", "conftest.py"])


@dataclass(frozen=True, slots=True)
class Job:
    """One file to check. `path` is absolute, `shown` as the user gave it."""

    path: str
    shown: str
    names: tuple[str, ...] = ()
    """Models to check, where the user named some; else all that the file holds."""
    module: str = ""
    """Dotted import name, where the user gave one."""
    source: str | bytes | None = None
    """What came from standard input instead of the file."""
    folder: str = ""
    """Where its code runs; empty: where the command was started."""


def collect(
    paths: Sequence[str], config: Config, *, stdin: tuple[str, str | bytes] | None = None
) -> tuple[tuple[Job, ...], tuple[Skipped, ...]]:
    """The files to check, and what was named but does not exist.

    Args:
        paths: files, directories, `file.py:Attr`, `pkg.mod:Attr`, or `-`.
        config: for `exclude`, `extend_exclude` and `respect_gitignore`, which hold for directories only: a file that
            is named is always checked.
        stdin: name and content of what `-` stands for.
    """
    jobs: dict[str, Job] = {}
    missing: list[Skipped] = []
    for given in paths:
        found = list(_expand(given, config, stdin))
        for item in found:
            if isinstance(item, Skipped):
                missing.append(item)
            elif not _is_text(item.path):
                reason = "the name of the file is not valid UTF-8"
                missing.append(Skipped(ascii(item.shown)[1:-1], 0, "", reason, "rename it", stage="read"))
            elif item.path not in jobs:
                jobs[item.path] = item
            else:
                jobs[item.path] = _joined(jobs[item.path], item)
    return tuple(jobs.values()), tuple(missing)


def is_left_out(path: Path, config: Config) -> bool:
    """Whether a run on the file's folder would pass the file over."""
    ignored = IgnoreFiles(path.parent, config)
    if config.respect_gitignore:
        ignored.enter(path.parent)
    return path.name in _NEVER_CHECKED or ignored.matches(path)


def _joined(first: Job, second: Job) -> Job:
    """Both of the names; all models where either asked for the whole file."""
    if not first.names or not second.names:
        return replace(first, names=())
    return replace(first, names=tuple(dict.fromkeys(first.names + second.names)))


def _expand(given: str, config: Config, stdin: tuple[str, str | bytes] | None) -> Iterator[Job | Skipped]:
    path = Path(given)
    if not given:
        yield Skipped("", 0, "", "an empty path names nothing", "name a file or a directory", fatal=True)
    elif given == STDIN and stdin is not None:
        name, text = stdin
        yield Job(_absolute(Path(name)), name, source=text)
    elif path.is_dir() and path.suffix not in _SUFFIXES:
        yield from _walk(path, config)
    elif path.exists():
        yield _not_regular(path) if _is_stream(path) else Job(_absolute(path), given)
    else:
        yield _target(given)


def _target(given: str) -> Job | Skipped:
    """`file.py:Attr` or `pkg.mod:Attr`."""
    place, colon, name = given.rpartition(":")
    if not colon or not all(part.isidentifier() for part in name.split(".")):
        return _missing(given)
    if Path(place).is_file():
        return Job(_absolute(Path(place)), place, names=(name,))
    if _is_stream(Path(place)):
        return _not_regular(Path(place))
    if place.endswith(_SUFFIXES) or not all(part.isidentifier() for part in place.split(".")):
        return _missing(place)
    origin = _module_file(place)
    if origin is None:
        return Skipped(given, 0, name, f'there is no module "{place}" that could be imported from here', fatal=True)
    return Job(_absolute(Path(origin)), _relative(origin), names=(name,), module=place)


def _module_file(module: str) -> str | None:
    """Source file of a module, found without importing its packages."""
    places: Sequence[str] | None = [str(Path.cwd()), *sys.path]
    origin = None
    dotted = ""
    for part in module.split("."):
        dotted = f"{dotted}.{part}" if dotted else part
        spec = PathFinder.find_spec(dotted, places)
        if spec is None:
            return None
        origin, places = spec.origin, spec.submodule_search_locations
        if places is not None:
            places = list(places)
    return origin if origin is not None and origin.endswith(".py") else None


def _missing(given: str) -> Skipped:
    parent = Path(given).parent
    try:
        names = [entry.name for entry in parent.iterdir()]
    except OSError:
        names = []
    close = nearest(names, Path(given).name)
    remedy = (
        f'did you mean "{parent / close}"?' if close else "name a file, a directory, file.py:Class or pkg.mod:Class"
    )
    return Skipped(given, 0, "", f'there is no file or directory "{given}"', remedy, fatal=True)


def _is_stream(path: Path) -> bool:
    return path.exists() and not path.is_file() and not path.is_dir()


def _not_regular(path: Path) -> Skipped:
    """A pipe would be waited for without end, a device read without end."""
    what = "a named pipe" if path.is_fifo() else "a socket" if path.is_socket() else "a device"
    remedy = f'pass its content on standard input: "gradlint check - < {path}"'
    return Skipped(str(path), 0, "", f"it is {what}, not a file", remedy, fatal=True)


def _walk(folder: Path, config: Config) -> Iterator[Job]:
    """All Python files and notebooks below a folder that nothing excludes, in alphabetical order."""
    ignored = IgnoreFiles(folder, config)
    for parent, folders, files in os.walk(folder):
        here = Path(parent)
        if config.respect_gitignore:
            ignored.enter(here)
        folders[:] = sorted(
            name for name in folders if is_entered(here / name) and not ignored.matches(here / name, is_folder=True)
        )
        for name in sorted(files):
            path = here / name
            if not name.endswith(_SUFFIXES) or name in _NEVER_CHECKED or ignored.matches(path):
                continue
            if path.is_file() or not path.exists():  # a broken link is told of; a pipe would never end
                yield Job(_absolute(path), str(path))


def _is_text(path: str) -> bool:
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _absolute(path: Path) -> str:
    try:
        return str(path.resolve())
    except (OSError, RuntimeError):  # a link that leads to itself: reading it will say so
        return str(path.absolute())


def _relative(path: str) -> str:
    """Relative to the working directory where it lies in it."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return path
