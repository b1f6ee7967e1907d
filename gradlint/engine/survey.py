"""What a folder holds that a first configuration has to know. Files are read; nothing is imported or run."""

import configparser
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradlint import discovery
from gradlint.config import Config
from gradlint.core.errors import AnalysisError
from gradlint.core.target import Target, TargetKind
from gradlint.discovery.arguments.likely import likely_arguments
from gradlint.discovery.elsewhere import Bounds, constructions_elsewhere
from gradlint.discovery.modules import definitions
from gradlint.discovery.names import Names
from gradlint.discovery.scan import optimizers
from gradlint.discovery.values import FileScan
from gradlint.engine.collect import Job, collect
from gradlint.engine.reading import read_source
from gradlint.engine.run import Progress

_FOREIGN = frozenset(
    "third_party third-party thirdparty 3rdparty vendor vendored _vendor external externals submodules".split()  # noqa: SIM905
)
_OUTPUT = frozenset("build dist wandb mlruns lightning_logs outputs".split())  # noqa: SIM905
_BOUNDS = Bounds(seconds=1.0)
"""What the search for the arguments of the models of one file may cost."""
_PATIENCE = 30.0
"""Seconds after which no further arguments are searched for: nobody waits for minutes for a list of suggestions."""


@dataclass(frozen=True, slots=True)
class Unfilled:
    """A model that takes arguments which nothing in the repository gives."""

    target: str
    """As in `model.py:Net`, relative to the folder."""
    line: int
    missing: tuple[str, ...]
    guesses: Mapping[str, Any]
    """By parameter: a likely number, list of numbers, flag or text; none for what takes anything else."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found below one folder. Paths are relative to it."""

    files: int
    models: tuple[str, ...]
    """As in `model.py:Net`."""
    unfilled: tuple[Unfilled, ...]
    optimizer: str | None
    """The family that every file which makes an optimiser agrees on."""
    trained_in: tuple[str, ...]
    """Files that make an optimiser."""
    excluded: dict[str, str]
    """Folders that hold Python files of no concern, and why."""
    unread: tuple[str, ...]
    """Files that are no valid Python, or cannot be read."""
    is_complete: bool
    """False where there are so many models that not all arguments were searched for."""


def survey(folder: Path, *, progress: Progress | None = None) -> Survey:
    """Look at every Python file that `gradlint check` would look at."""
    folder = folder.resolve()
    deadline = time.monotonic() + _PATIENCE
    jobs, missing = collect([str(folder)], Config(root=str(folder)))
    excluded = _excluded(folder, jobs)
    own = [job for job in jobs if not any(Path(job.path).is_relative_to(folder / name) for name in excluded)]
    if progress is not None:
        progress.begin(len(own))
    models: list[str] = []
    unfilled: list[Unfilled] = []
    families: dict[str, frozenset[str]] = {}
    unread = [item.path for item in missing]
    is_complete = True
    for job in own:
        name = _below(job, folder)
        scan = _scanned(job)
        if scan is None:
            unread.append(name)
        elif scan.tree is not None:
            families[name] = optimizers(scan.tree, Names(scan.tree))
            targets = discovery.find_targets(scan)
            models += [f"{name}:{target.name}" for target in targets]
            is_complete &= time.monotonic() < deadline
            unfilled += _unfilled(targets, scan, name) if is_complete else ()
        if progress is not None:
            progress.file(name)
    trained_in = tuple(name for name, found in families.items() if found)
    agreed = frozenset[str]().union(*families.values())
    optimizer = next(iter(agreed)) if len(agreed) == 1 else None
    return Survey(len(own), tuple(models), tuple(unfilled), optimizer, trained_in, excluded, tuple(unread), is_complete)


def _scanned(job: Job) -> FileScan | None:
    try:
        return discovery.scan_file(job.path, read_source(job))
    except AnalysisError:  # listed as unread; `gradlint check` says what is wrong with it
        return None


def _unfilled(targets: Iterable[Target], scan: FileScan, name: str) -> Iterator[Unfilled]:
    """Targets whose required arguments neither their own file nor another one gives."""
    open_ = {}
    for target in targets:
        candidate = scan.candidate(target.name)
        is_called = target.kind is not TargetKind.INSTANCE and target.args is None and target.kwargs is None
        if candidate is not None and candidate.required and is_called:
            open_[target.name] = candidate
    made = constructions_elsewhere(scan.path, list(open_), _BOUNDS) if open_ else {}
    known = definitions(scan.tree) if scan.tree is not None else {}
    for model, candidate in open_.items():
        if not any(construction.is_whole for construction in made[model]):
            guesses = likely_arguments(candidate, known)
            yield Unfilled(f"{name}:{model}", candidate.line, candidate.required, guesses)


def _excluded(folder: Path, jobs: Iterable[Job]) -> dict[str, str]:
    """Folders that hold Python files which are not this repository's own: submodules, vendored code, output."""
    submodules = _submodules(folder)
    found: dict[str, str] = {}
    for job in jobs:
        parents = [Path(part) for part in Path(_below(job, folder)).parents][-2::-1]
        for parent in parents:
            why = _why_excluded(folder, parent, submodules)
            if why:
                found[parent.as_posix()] = why
                break
    return found


def _why_excluded(folder: Path, parent: Path, submodules: frozenset[str]) -> str:
    if parent.as_posix() in submodules:
        return "a git submodule"
    if parent.name in _FOREIGN:
        return "code of others"
    is_package = (folder / parent / "__init__.py").exists()
    return "output" if parent.name in _OUTPUT and not is_package else ""


def _submodules(folder: Path) -> frozenset[str]:
    """Paths that `.gitmodules` names; git's own format is close enough to that of INI files once it is not indented."""
    path = folder / ".gitmodules"
    if not path.is_file():
        return frozenset()
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        parser.read_string(re.sub(r"^[ \t]+", "", text, flags=re.MULTILINE))
    except configparser.Error:  # git would not read it either: there are no submodules
        return frozenset()
    return frozenset(section["path"].rstrip("/") for section in parser.values() if "path" in section)


def _below(job: Job, folder: Path) -> str:
    """A job's path from the folder; as it was found, where a link leads out of it."""
    path = Path(job.path)
    return (path if path.is_relative_to(folder) else Path(job.shown)).relative_to(folder).as_posix()
