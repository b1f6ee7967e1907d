"""A whole run: every file read, every model handed to the worker, every finding passed through the gate."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Protocol

from gradlint import registry
from gradlint.config import Config, load
from gradlint.core.errors import AnalysisError, UsageError
from gradlint.core.location import Location
from gradlint.core.report import Report
from gradlint.core.table import FlowTable
from gradlint.engine.collect import Job, collect
from gradlint.engine.files import Run, memory_of, settings_of
from gradlint.engine.gating import FileResult, Gathered, with_baseline
from gradlint.engine.kept import Memory
from gradlint.engine.places import known_findings
from gradlint.engine.reading import configured_targets, read
from gradlint.engine.shown import Shown
from gradlint.registry import Selection
from gradlint.worker.messages import Table, Tabulate
from gradlint.worker.portable import portable
from gradlint.worker.process import Worker


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
    memory: Memory | None = None,
) -> Report:
    """Check files, directories and named models (`file.py:Class`, `pkg.mod:Class`).

    Args:
        paths: what to check; a directory stands for the Python files below it.
        config: settings; without them those of the nearest configuration file are used.
        progress: told how the run gets on.
        stdin: name and content of what the path `-` stands for.
        memory: results of earlier runs; without it everything is looked at anew.

    Raises:
        UsageError: a selector, a rule's name, a target or a baseline in the settings that cannot be meant.
        GradlintError: no rule pack, or the process that runs user code cannot start.
    """
    began = time.monotonic()
    config = config if config is not None else load(base_folder([str(path) for path in paths]))
    baseline = known_findings(config)
    gathered = gather(paths, config, progress=progress, stdin=stdin, memory=memory)
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
    memory: Memory | None = None,
) -> Gathered:
    """Look at everything as `check` does, but leave the baseline out of it."""
    names = tuple(str(path) for path in paths)
    selection = registry.select(registry.load(), config)
    configured_targets(config)
    jobs, missing = collect(names, config, stdin=stdin)
    return look_at(Gathered(names, jobs, missing, (), config, selection), progress=progress, memory=memory)


def look_at(asked: Gathered, *, progress: Progress | None = None, memory: Memory | None = None) -> Gathered:
    """The same with what came of each of its files."""
    if progress is not None:
        progress.begin(len(asked.jobs))
    try:
        with crew(asked.config, len(asked.jobs)) as workers:
            results = tuple(look(asked.jobs, asked.config, asked.selection, workers, progress, memory))
    finally:
        if memory is not None:
            memory.write()
    return replace(asked, results=results)


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
        answer = worker.ask(Tabulate(portable(reading.targets[0]), reading.source, settings_of(config, None), measured))
    finally:
        worker.close()
    assert isinstance(answer, Table)
    for item in answer.skipped:
        item = Shown(jobs).skipped(item)
        place = Location(item.path, item.line, cell=item.cell)
        raise AnalysisError(item.reason, stage=item.stage, location=place, remedy=item.remedy)
    assert answer.table is not None
    model, shown = answer.table.model, Shown(jobs)
    doubts = tuple(shown.text(doubt, model.path) for doubt in answer.table.doubts)
    return replace(answer.table, model=shown.model(model), doubts=doubts)


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
    jobs: Sequence[Job],
    config: Config,
    selection: Selection,
    workers: Crew,
    progress: Progress | None,
    memory: Memory | None = None,
) -> Iterator[FileResult]:
    """Results in the order of the files."""
    run = Run(config, selection, memory)

    def one(job: Job) -> FileResult:
        worker = workers.idle.get()
        try:
            return run.file(job, worker)
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
    return Worker(timeout=config.timeout, memory=memory_of(config))
