"""From a file to its targets: read, decoded, scanned; nothing is imported."""

import io
import tokenize
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from gradlint import discovery
from gradlint.config import Config, did_you_mean
from gradlint.core.entries import InputEntry, TargetEntry
from gradlint.core.errors import AnalysisError, UsageError
from gradlint.core.location import Location
from gradlint.core.report import Skipped
from gradlint.core.target import InputSpec, Target
from gradlint.discovery import FileScan
from gradlint.discovery.cells import SUFFIX, Cells, cells_of
from gradlint.discovery.names import Names
from gradlint.discovery.unrunnable import Unrunnable, unrunnable
from gradlint.engine.collect import Job


@dataclass(frozen=True, slots=True)
class Reading:
    """One file's text, and the targets in it."""

    source: str
    targets: tuple[Target, ...]
    skipped: tuple[Skipped, ...] = ()
    is_whole: bool = True
    """False where only some of the file's models are looked at."""


def is_notebook(job: Job) -> bool:
    """Whether the file is one of cells, by its name."""
    return job.path.endswith(SUFFIX)


def read_cells(job: Job) -> Cells:
    """The code cells of a notebook; raises AnalysisError (stage "read")."""
    return cells_of(_text(job), job.path)


def read_source(job: Job) -> str:
    """Python text of a file, in the encoding that it declares; raises AnalysisError (stage "read")."""
    return read_cells(job).source if is_notebook(job) else _text(job)


def _text(job: Job) -> str:
    if job.source is not None:
        return job.source if isinstance(job.source, str) else decode(job.source, job.path, what="standard input")
    try:
        data = Path(job.path).read_bytes()
    except OSError as error:
        raise AnalysisError(
            f"the file cannot be read: {error.strerror or error}",
            stage="read",
            location=Location(job.path, 1),
            remedy="make it a readable file, or leave it out with --exclude",
        ) from error
    return decode(data, job.path)


def decode(data: bytes, path: str, *, what: str = "the file") -> str:
    """Text of a Python file; raises AnalysisError (stage "read") where it is in no encoding that it declares."""
    if path.endswith(SUFFIX):
        return _decoded(data, path, what)
    encoding = "utf-8"
    remedy = 'save it as UTF-8, or name its encoding in the first line: "# -*- coding: latin-1 -*-"'
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return io.TextIOWrapper(io.BytesIO(data), encoding).read()
    except (SyntaxError, UnicodeDecodeError) as error:
        start = _undecodable(data, encoding)
        if start is None:
            reason = f"the encoding of {what} is not known: {error}"
            raise AnalysisError(reason, stage="read", location=Location(path, 1), remedy=remedy) from error
        raise _not_text(data, start, path, f"{what} is not valid {encoding.upper()}", remedy) from error


def _decoded(data: bytes, path: str, what: str) -> str:
    """Text of a notebook, which is always UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _not_text(data, error.start, path, f"{what} is not valid UTF-8", "save it again in Jupyter") from error


def _not_text(data: bytes, start: int, path: str, reason: str, remedy: str) -> AnalysisError:
    line = data.count(b"\n", 0, start) + 1
    column = start - data.rfind(b"\n", 0, start)
    reason = f"{reason}: byte 0x{data[start]:02x} in line {line}, column {column}"
    return AnalysisError(reason, stage="read", location=Location(path, line, column), remedy=remedy)


def _undecodable(data: bytes, encoding: str) -> int | None:
    """Index of the first byte that is no text in that encoding; None where all of them are."""
    try:
        data.decode(encoding)
    except UnicodeDecodeError as error:
        return error.start
    return None


def read(job: Job, config: Config) -> Reading:
    """Text and targets of one file; raises AnalysisError (stages "read" and "parse")."""
    cells = read_cells(job) if is_notebook(job) else None
    return understood(job, read_source(job) if cells is None else cells.source, config, cells)


def understood(job: Job, source: str, config: Config, cells: Cells | None = None) -> Reading:
    """The targets of one file's Python; raises AnalysisError (stage "parse").

    Args:
        job: the file.
        source: its Python.
        config: targets and defaults.
        cells: what the Python is made of, where the file is a notebook.
    """
    scan = discovery.scan_file(job.path, source)
    configured = [target for target in configured_targets(config) if target.path == job.path]
    asked = [_named(name, job, configured) for name in job.names]
    named, parts = asked or configured, config.all_modules
    targets = discovery.find_targets(scan, named, only=bool(asked), parts=parts)
    skipped = () if job.module else tuple(_unknown(target, scan) for target in asked if not _is_bound(target, scan))
    unknown = {item.name for item in skipped}
    said = {target.name: target.optimizer for target in configured}
    kept = tuple(_with_defaults(target, config, said) for target in targets if target.name not in unknown)
    if not kept and not skipped:
        skipped = tuple(_without_forward(job.path, found) for found in unrunnable(scan)) or (
            Skipped(job.path, 1, "", _why_none(scan, cells), is_model=False),
        )
    elif not asked:
        skipped += tuple(_without_forward(job.path, found) for found in unrunnable(scan, alone=False))
    return Reading(source, kept, skipped, is_whole=not asked)


def _why_none(scan: FileScan, cells: Cells | None) -> str:
    """Why a file is taken for one without models."""
    if cells is not None and cells.language != "python":
        return f"it is a notebook in {cells.language}, not in Python"
    return scan.reason or "it holds no model that could be built on its own"


def _without_forward(path: str, found: Unrunnable) -> Skipped:
    return Skipped(path, found.line, found.name, found.reason, found.remedy, is_model=False)


def configured_targets(config: Config) -> tuple[Target, ...]:
    """`[[tool.gradlint.targets]]` with absolute paths; raises UsageError."""
    return tuple(_configured(entry, config) for entry in config.targets)


def _configured(entry: TargetEntry, config: Config) -> Target:
    place, colon, name = entry.target.rpartition(":")
    if not colon or not place or not all(part.isidentifier() for part in name.split(".")):
        reason = f'targets: "{entry.target}" does not name a model'
        raise UsageError(reason, remedy='write target = "model.py:Net", relative to the configuration file')
    path = _configured_file(Path(config.root or "."), place)
    if path is None:
        reason = f'targets: "{entry.target}": there is no file or module "{place}"'
        raise UsageError(reason, remedy="name it relative to the configuration file's folder")
    return Target(
        path=str(path.resolve()),
        name=name,
        line=1,
        args=entry.args,
        kwargs=entry.kwargs,
        inputs=None if entry.inputs is None else tuple(_input(value) for value in entry.inputs),
        optimizer=entry.optimizer,
        batch=entry.batch,
        sequence_length=entry.sequence_length,
        built="configured",
    )


def _configured_file(root: Path, place: str) -> Path | None:
    """The file that `model.py` or `pkg.mod` stands for, below the folder of the configuration."""
    module = root.joinpath(*place.split("."))
    choices = [root / place] if place.endswith((".py", SUFFIX)) else [module.with_suffix(".py"), module / "__init__.py"]
    return next((path for path in choices if path.is_file()), None)


def _input(value: InputEntry | tuple[int, ...], name: str = "") -> InputSpec:
    if not isinstance(value, InputEntry):
        return InputSpec(tuple(value), name=name)
    name = value.name or name
    if value.entries is not None:
        return InputSpec((), "dict", name, items=tuple(_input(entry, key) for key, entry in value.entries.items()))
    dtype = "literal" if value.value is not None else value.dtype
    return InputSpec(value.shape, dtype, name, value.high, value.low, value.value)


def _named(name: str, job: Job, configured: list[Target]) -> Target:
    """A target that the user named, with what the configuration says of it."""
    target = next((target for target in configured if target.name == name), None)
    return replace(target or Target(path=job.path, name=name, line=1), module=job.module)


def _is_bound(target: Target, scan: FileScan) -> bool:
    top = target.name.partition(".")[0]
    return scan.candidate(target.name) is not None or (scan.tree is not None and top in Names(scan.tree).top)


def _unknown(target: Target, scan: FileScan) -> Skipped:
    known = [candidate.name for candidate in scan.candidates]
    remedy = did_you_mean(known, target.name) if known else "the file defines no model"
    return Skipped(target.path, 1, target.name, f'the file defines no model "{target.name}"', remedy, fatal=True)


def _with_defaults(target: Target, config: Config, said: Mapping[str, str | None]) -> Target:
    """The target's own settings, else those of the run, else what the file itself tells."""
    return replace(
        target,
        optimizer=said.get(target.name) or config.optimizer or target.optimizer,
        batch=target.batch or config.batch,
        sequence_length=target.sequence_length or config.sequence_length,
    )
