"""A whole run: every file read, every model handed to the worker, every finding passed through the gate."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

import msgspec

from gradlint import registry
from gradlint.config import COMMAND_LINE, ENVIRONMENT, Config, load, place_of
from gradlint.core.errors import AnalysisError, UsageError
from gradlint.core.location import Location
from gradlint.core.report import Report
from gradlint.core.table import FlowTable
from gradlint.core.target import Target
from gradlint.engine.collect import Job, collect
from gradlint.engine.gating import FileResult, Gathered, gate_file, text_of, with_baseline
from gradlint.engine.reading import Reading, configured_targets, read
from gradlint.engine.shown import Shown
from gradlint.gate.baseline import read_baseline
from gradlint.gate.configured import Configured
from gradlint.registry import Selection
from gradlint.worker.messages import Analyse, Result, Settings, Table, Tabulate, TargetResult, unprobed
from gradlint.worker.portable import portable
from gradlint.worker.process import Worker
from gradlint.worker.unanalysable import unanalysable

GIBIBYTE = 2**30


class Progress(Protocol):
    """Told how a run gets on."""

    def begin(self, files: int) -> None:
        """So many files will be looked at."""

    def file(self, name: str) -> None:
        """The next file is done."""


def check(
    paths: Sequence[str | Path],
    config: Config | None = None,
    *,
    progress: Progress | None = None,
    stdin: tuple[str, str | bytes] | None = None,
) -> Report:
    """Check files, directories and named models (`file.py:Class`, `pkg.mod:Class`).

    Args:
        paths: what to check; a directory stands for the Python files below it.
        config: settings; without them those of the nearest configuration file are used.
        progress: told how the run gets on.
        stdin: name and content of what the path `-` stands for.

    Raises:
        UsageError: a selector, a rule's name, a target or a baseline in the settings that cannot be meant.
        GradlintError: no rule pack, or the process that runs user code cannot start.
    """
    began = time.monotonic()
    config = config if config is not None else load(base_folder([str(path) for path in paths]))
    place = baseline_of(config)
    baseline = read_baseline(place) if place is not None else None
    gathered = gather(paths, config, progress=progress, stdin=stdin)
    report = gathered.report(time.monotonic() - began)
    if baseline is not None:
        report = with_baseline(report, *gathered.matched(baseline), baseline, gathered.selection)
    return Shown(gathered.jobs).report(report)


def gather(
    paths: Sequence[str | Path],
    config: Config,
    *,
    progress: Progress | None = None,
    stdin: tuple[str, str | bytes] | None = None,
) -> Gathered:
    """Look at everything as `check` does, but leave the baseline out of it."""
    names = tuple(str(path) for path in paths)
    selection = registry.select(registry.load(), config)
    configured_targets(config)
    jobs, missing = collect(names, config, stdin=stdin)
    if progress is not None:
        progress.begin(len(jobs))
    with crew(config, len(jobs)) as workers:
        results = tuple(look(jobs, config, selection, workers, progress))
    return Gathered(names, jobs, missing, results, config, selection)


def baseline_of(config: Config) -> Path | None:
    """The file of known findings, or None: relative to the configuration file that names it, else to where we are."""
    if not config.baseline:
        return None
    if "\0" in config.baseline:
        raise UsageError(f"baseline: {config.baseline!r} is no path", location=place_of(config, "baseline"))
    is_in_file = config.origins.get("baseline", COMMAND_LINE) not in (COMMAND_LINE, ENVIRONMENT)
    return Path(config.root, config.baseline) if is_in_file else Path(config.baseline)


def tabulate(target: str, config: Config, *, measured: bool) -> FlowTable:
    """The flow of one model, which is named as `file.py:Class`, `pkg.mod:Class` or by a file that holds one only.

    Raises:
        UsageError: no such model, or a file that holds several.
        AnalysisError: the model cannot be analysed.
    """
    jobs, missing = collect([target], config)
    for item in missing:
        raise UsageError(item.reason, remedy=item.remedy)
    if len(jobs) != 1:
        raise UsageError(f'"{target}" is not one model', remedy="name it: file.py:Class")
    reading = read(jobs[0], config)
    for item in reading.skipped:
        about = f"{item.name}: " if item.name else ""
        raise UsageError(f"{jobs[0].shown}: {about}{item.reason}", remedy=item.remedy)
    if len(reading.targets) > 1:
        names = ", ".join(f"{jobs[0].shown}:{found.name}" for found in reading.targets)
        raise UsageError(f"{jobs[0].shown} holds {len(reading.targets)} models", remedy=f"name one of {names}")
    worker = _worker(config)
    try:
        answer = worker.ask(Tabulate(portable(reading.targets[0]), reading.source, _settings(config, None), measured))
    finally:
        worker.close()
    assert isinstance(answer, Table)
    for item in answer.skipped:
        item = Shown(jobs).skipped(item)
        place = Location(item.path, item.line)
        raise AnalysisError(item.reason, stage=item.stage, location=place, remedy=item.remedy)
    assert answer.table is not None
    return replace(answer.table, model=Shown(jobs).model(answer.table.model))


def base_folder(paths: Sequence[str]) -> Path:
    """The folder from which the configuration is looked for: the deepest one that holds all paths."""
    folders = []
    for given in paths:
        path = Path(given)
        if not path.exists() and ":" in given:
            path = Path(given.rpartition(":")[0])
        if path.exists():
            folders.append(path.resolve() if path.is_dir() else path.resolve().parent)
    if not folders:
        return Path.cwd()
    common = folders[0]
    for folder in folders[1:]:
        while not folder.is_relative_to(common):
            common = common.parent
    return common


@dataclass(frozen=True, slots=True)
class Crew:
    """Workers that serve at once; those that are idle wait in the queue."""

    idle: SimpleQueue[Worker]
    size: int


@contextmanager
def crew(config: Config, files: int) -> Iterator[Crew]:
    """As many workers as `jobs` says, though no more than there are files; each starts when it is first asked."""
    count = max(1, min(config.jobs, files))
    workers: SimpleQueue[Worker] = SimpleQueue()
    all_workers = [_worker(config) for _ in range(count)]
    for worker in all_workers:
        workers.put(worker)
    try:
        yield Crew(workers, count)
    finally:
        for worker in all_workers:
            worker.close()


def look(
    jobs: Sequence[Job], config: Config, selection: Selection, workers: Crew, progress: Progress | None
) -> Iterator[FileResult]:
    """Results in the order of the files."""
    settings = _settings(config, selection)
    configured = Configured(config, selection)

    def one(job: Job) -> FileResult:
        worker = workers.idle.get()
        try:
            return _file(job, config, selection, configured, settings, worker)
        finally:
            worker.tidy()
            workers.idle.put(worker)

    if workers.size == 1:
        yield from _told((one(job) for job in jobs), jobs, progress)
        return
    with ThreadPoolExecutor(workers.size) as pool:
        yield from _told(pool.map(one, jobs), jobs, progress)


def _told(results: Iterator[FileResult], jobs: Sequence[Job], progress: Progress | None) -> Iterator[FileResult]:
    for result, job in zip(results, jobs, strict=True):
        if progress is not None:
            progress.file(job.shown)
        yield result


def _worker(config: Config) -> Worker:
    return Worker(timeout=config.timeout, memory=int(config.memory * GIBIBYTE))


def _settings(config: Config, selection: Selection | None) -> Settings:
    return Settings(
        codes=tuple(rule.code for rule in selection.rules) if selection is not None else (),
        options={name: dict(options) for name, options in config.rules.items()},
        probe=config.probe,
        severities=dict(selection.severities) if selection is not None else {},
        memory=int(config.memory * GIBIBYTE),
    )


def _file(
    job: Job, config: Config, selection: Selection, configured: Configured, settings: Settings, worker: Worker
) -> FileResult:
    """Everything about one file; an error in one model keeps no other from being checked."""
    try:
        reading = read(job, config)
    except AnalysisError as error:
        result = unanalysable(error, Target(path=job.path, name="", line=1))
        return gate_file(job, Reading(text_of(job), (), is_whole=False), [result], selection, configured)
    asked = set(job.names) | {target.name for target in configured_targets(config) if target.path == job.path}
    results = {
        target.name: _target(Analyse(portable(target), reading.source, settings, folder=job.folder), target, worker)
        for target in reading.targets
    }
    inside = {name for result in results.values() for name in result.contains}
    kept = [result for name, result in results.items() if name in asked or name not in inside]
    return gate_file(job, reading, kept, selection, configured)


def _target(request: Analyse, target: Target, worker: Worker) -> TargetResult:
    """What the worker says of one target. Where only the probe was stopped, what was predicted still counts."""
    try:
        return _asked(request, worker)
    except AnalysisError as error:
        if not (request.settings.probe and error.stage == "probe"):
            return unanalysable(error, target)
        why_not = error.message
    try:
        result = _asked(msgspec.structs.replace(request, settings=replace(request.settings, probe=False)), worker)
    except AnalysisError as error:
        return unanalysable(error, target)
    findings, probed = unprobed(result.findings, why_not)
    summary = None if result.summary is None else replace(result.summary, probed=probed)
    return replace(result, findings=findings, summary=summary)


def _asked(request: Analyse, worker: Worker) -> TargetResult:
    answer = worker.ask(request)
    assert isinstance(answer, Result)
    return answer.result
