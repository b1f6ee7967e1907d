"""One file of a run: found among what was kept, or read, handed to the worker and kept; then gated."""

from dataclasses import replace

import msgspec

from gradlint.config import Config
from gradlint.core.errors import AnalysisError
from gradlint.core.target import Target
from gradlint.discovery.cells import Cells
from gradlint.engine.collect import Job
from gradlint.engine.gating import FileResult, gate_file, text_of
from gradlint.engine.kept import Answers, Memory
from gradlint.engine.reading import Reading, configured_targets, is_notebook, read_cells, read_source, understood
from gradlint.gate.configured import Configured
from gradlint.registry import Selection
from gradlint.worker.messages import Analyse, Result, Settings, TargetResult, unprobed
from gradlint.worker.portable import portable
from gradlint.worker.process import Worker
from gradlint.worker.unanalysable import unanalysable

_GIBIBYTE = 2**30


def memory_of(config: Config) -> int:
    """Bytes that one model may take."""
    return int(config.memory * _GIBIBYTE)


def settings_of(config: Config, selection: Selection | None) -> Settings:
    """What the worker needs to know of the configuration."""
    return Settings(
        codes=tuple(rule.code for rule in selection.rules) if selection is not None else (),
        options={name: dict(options) for name, options in config.rules.items()},
        probe=config.probe,
        severities=dict(selection.severities) if selection is not None else {},
        memory=memory_of(config),
    )


class Run:
    """What all files of a run have in common."""

    def __init__(self, config: Config, selection: Selection, memory: Memory | None) -> None:
        """`memory`: results of earlier runs, where there are any to be had."""
        self._config = config
        self._selection = selection
        self._memory = memory
        self._settings = settings_of(config, selection)
        self._configured = Configured(config, selection)
        self._targets = configured_targets(config)

    def file(self, job: Job, worker: Worker) -> FileResult:
        """Everything about one file; an error in one model keeps no other from being checked."""
        try:
            cells = read_cells(job) if is_notebook(job) else None
            source = read_source(job) if cells is None else cells.source
            reading, results = self._results(job, source, cells, worker)
        except AnalysisError as error:
            result = unanalysable(error, Target(path=job.path, name="", line=1))
            reading = Reading(text_of(job), (), is_whole=False)
            return gate_file(job, reading, [result], self._selection, self._configured)
        asked = set(job.names) | {target.name for target in self._targets if target.path == job.path}
        inside = {name for result in results.values() for name in result.contains}
        all_of_them = self._config.all_modules
        kept = [result for name, result in results.items() if name in asked or all_of_them or name not in inside]
        errors = () if cells is None else cells.errors(job.path)  # the other cells are looked at all the same
        broken = [unanalysable(error, Target(path=job.path, name="", line=1)) for error in errors]
        return gate_file(job, reading, [*broken, *kept], self._selection, self._configured)

    def _results(
        self, job: Job, source: str, cells: Cells | None, worker: Worker
    ) -> tuple[Reading, dict[str, TargetResult]]:
        """What comes of each target of a file."""
        memory = self._memory if not job.folder else None  # an extracted revision is gone after the run
        key = memory.key(job, source, self._config, self._targets, self._settings) if memory is not None else ""
        found = memory.find(key, source) if memory is not None else None
        if found is not None:
            return found
        reading = understood(job, source, self._config, cells)
        answers = Answers()
        for target in reading.targets:
            request = Analyse(portable(target), source, self._settings, folder=job.folder, is_recorded=bool(memory))
            answers.results[target.name] = self._target(request, target, worker, answers)
        if memory is not None:
            memory.keep(key, job, reading, answers)
        return reading, answers.results

    def _target(self, request: Analyse, target: Target, worker: Worker, answers: Answers) -> TargetResult:
        """What the worker says of one target. Where only the probe was stopped, what was predicted still counts."""
        try:
            return self._asked(request, worker, answers)
        except AnalysisError as error:
            answers.refuse(error.message)
            if not (request.settings.probe and error.stage == "probe"):
                return unanalysable(error, target)
            why_not = error.message
        try:
            unprobing = replace(request.settings, probe=False)
            result = self._asked(msgspec.structs.replace(request, settings=unprobing), worker, answers)
        except AnalysisError as error:
            return unanalysable(error, target)
        findings, probed = unprobed(result.findings, why_not)
        summary = None if result.summary is None else replace(result.summary, probed=probed)
        return replace(result, findings=findings, summary=summary)

    def _asked(self, request: Analyse, worker: Worker, answers: Answers) -> TargetResult:
        answer = worker.ask(request)
        assert isinstance(answer, Result)
        if self._memory is not None:
            answers.observed(answer.seen, answer.base)
        return answer.result
