"""A model of whose arguments nothing is known: the first guess that builds and runs, said to be one."""

import time
from collections.abc import Iterator
from dataclasses import replace

from gradlint import building
from gradlint.building.built import GUESSED, BuiltModel, Doubt, Fed
from gradlint.building.namespace import Namespace
from gradlint.core.errors import AnalysisError, UnknownArgumentsError
from gradlint.core.location import Location
from gradlint.core.target import Target
from gradlint.worker.stages import OnStage, stage

_NOTHING_SAYS = "nothing says with which arguments it is built"
_LONGEST = 20.0
"""CPU seconds after which no further guess is tried."""
_MOST = 16
_MOST_BUILT = 2
"""Models that answer one failure to build and then do not run: further answers to it would not run either."""


def built_by_guess(
    target: Target, namespace: Namespace, unbuilt: AnalysisError, *, on_stage: OnStage, because: str = ""
) -> tuple[BuiltModel, Fed]:
    """Guess until a model builds and its forward runs; raises AnalysisError where none does.

    Args:
        target: the model, as far as it is known.
        namespace: the loaded file.
        unbuilt: what was raised without a guess; it is what the user hears of where no guess fits.
        on_stage: told of the stages.
        because: why it has to be guessed, where something says the arguments.
    """
    search = _Search(target, namespace, on_stage, because or _NOTHING_SAYS)
    if isinstance(unbuilt, UnknownArgumentsError):
        starts = building.guessed(target, namespace)
    else:
        starts = building.guessed_again(target, target, unbuilt, namespace)
    for attempt in starts:
        found = search.run(attempt)
        if found is not None:
            return found
    raise _told(unbuilt, search) from unbuilt


class _Search:
    """Tries guesses, and what their failures suggest, within a budget."""

    def __init__(self, target: Target, namespace: Namespace, on_stage: OnStage, because: str) -> None:
        self.target = target
        self.namespace = namespace
        self.on_stage = on_stage
        self.because = because
        self.began = time.thread_time()
        self.farthest: tuple[Target, str] | None = None
        """The first attempt that was built and did not run, else the first one, and what became of it."""
        self.tried: set[str] = set()
        self.built = 0

    def run(self, attempt: Target, depth: int = 3) -> tuple[BuiltModel, Fed] | None:
        """Try one, then what its failure suggests; None where nothing runs."""
        spent = time.thread_time() - self.began > _LONGEST or len(self.tried) >= _MOST
        if spent or attempt.built in self.tried:
            return None
        self.tried.add(attempt.built)
        try:
            with stage("build", self.target, self.on_stage):
                built = building.build(attempt, self.namespace)
        except AnalysisError as error:
            self.farthest = self.farthest or (attempt, f"{attempt.built}: {error.message}")
            return self._again(attempt, error, depth) if depth else None
        self.built += 1
        try:
            with stage("feed", self.target, self.on_stage):
                fed = building.feed(built)
        except AnalysisError as error:
            if self.built == 1:
                self.farthest = (attempt, f"{attempt.built}: {error.message}")
            return None
        told = building.described_guess(attempt, self.target)
        return replace(built, built=told, doubts=(*built.doubts, _doubt(attempt, told, self.because))), fed

    def _again(self, attempt: Target, error: AnalysisError, depth: int) -> tuple[BuiltModel, Fed] | None:
        further: Iterator[Target] = building.guessed_again(self.target, attempt, error, self.namespace)
        built = self.built
        for better in further:
            found = self.run(better, depth - 1)
            if found is not None or self.built - built >= _MOST_BUILT:
                return found
        return None


def _doubt(attempt: Target, told: str, because: str) -> Doubt:
    text = f"{because}: these are a guess: {told.removeprefix(GUESSED)}"
    remedy = f"say the real ones in pyproject.toml:\n{building.entry_of(attempt)}"
    return Doubt(text, Location(attempt.path, max(1, attempt.line)), remedy)


def _told(unbuilt: AnalysisError, search: _Search) -> AnalysisError:
    """The error without a guess, with what became of the one that came farthest, and its values to be corrected."""
    if not isinstance(unbuilt, UnknownArgumentsError) or search.farthest is None:
        return unbuilt
    attempt, told = search.farthest
    remedy = f"in pyproject.toml, with the values put right:\n{building.entry_of(attempt)}"
    message = f"{unbuilt.message}; {told}"
    return AnalysisError(message, stage="build", location=unbuilt.location, remedy=remedy)
