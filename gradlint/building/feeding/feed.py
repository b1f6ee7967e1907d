"""Find inputs that a model's forward runs on."""

import heapq
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import replace

from torch import nn
from torch.nn.modules.conv import _ConvNd

from gradlint.building.built import BuiltModel, Fed
from gradlint.building.failure import analysis_error, describe, raised_at, text_of, values_needed
from gradlint.building.feeding.arguments import Proposal, proposals
from gradlint.building.feeding.conventions import announced, batched
from gradlint.building.feeding.entries import Entry, enter, entries, is_unwritten, leave, part_entry, parts
from gradlint.building.feeding.forward_source import Argument, required_arguments
from gradlint.building.feeding.hints import Hints, hints_of
from gradlint.building.feeding.mend import mended
from gradlint.building.feeding.remedies import remedy
from gradlint.building.feeding.tensors import described, held, make
from gradlint.building.feeding.trial import Trial, attempt
from gradlint.building.stubs import MissingPackageError
from gradlint.core.errors import AnalysisError, ValuesNeededError
from gradlint.core.location import Location
from gradlint.core.target import InputSpec

_MOST_TRIALS = 60
_LONGEST_SEARCH = 10.0
"""CPU seconds of this thread after which no further inputs are tried: a loaded machine tries as many as an idle one,
a machine with many cores as many as one with few."""
_MOST_ELEMENTS = 16_000_000
"""Inputs larger than this are not guessed."""
_SMALLEST_MAP = 4
_LONGEST_STALL = 24
"""Variations of one proposal, none of which came farther than those before, after which the next proposal is tried."""
_SMALL_IMAGE = 32
_LARGEST_IMAGE = 256
_NO_FORWARD = "give it a forward that its other methods call, or check its parts"


def feed(built: BuiltModel) -> Fed:
    """Example inputs for a model: the configured ones, those it announces, those its file feeds, else derived ones.

    Every candidate is tried with a forward in training mode without gradients (fake where the model is fake); the
    model is left as found. Floating inputs are N(0, 1), integer ones uniform; both with a fixed seed.

    Raises:
        AnalysisError: stage "feed", with the configuration to paste, where no forward runs.
    """
    if is_unwritten(built.model):
        if built.target is None:  # its owner goes on using it, as it is
            raise _without_forward(built, [])
        return _fed_otherwise(built)
    return _fed_forward(built)


def _fed_otherwise(built: BuiltModel) -> Fed:
    """Inputs on which something else than a forward runs; the model has that as its forward from then on."""
    failures: list[str] = []
    for entry in entries(built.model):
        enter(built.model, entry)
        try:
            return _through(entry, _fed_forward(built))
        except AnalysisError as error:
            leave(built.model)
            failures.append(f"{entry.name}: {error.message}")
    for name, part in parts(built.model):
        entry = part_entry(name, part)
        try:
            fed = feed(replace(built, model=part))
        except AnalysisError as error:
            failures.append(f"{entry.name}: {error.message}")
            continue
        enter(built.model, entry)
        return _through(entry, fed)
    raise _without_forward(built, failures)


def _through(entry: Entry, fed: Fed) -> Fed:
    through = f"{entry.name}, {fed.through}" if fed.through else entry.name
    return replace(fed, through=through, is_whole=entry.is_whole and fed.is_whole)


def _without_forward(built: BuiltModel, failures: list[str]) -> AnalysisError:
    path, name = (built.target.path, built.target.name) if built.target else ("", type(built.model).__name__)
    tried = f"; tried {failures[0]}" if failures else ""
    message = f"{name} has no forward of its own: what it computes from what cannot be seen{tried}"
    place = built.class_location or Location(path, 1)
    return AnalysisError(message, stage="feed", location=place, remedy=_NO_FORWARD)


def _fed_forward(built: BuiltModel) -> Fed:
    hints = hints_of(built)
    arguments = required_arguments(built.model)
    target = built.target
    if target is not None and target.inputs is not None and not target.inputs_from:
        return _configured(built, target.inputs, hints, arguments)
    search = _Search(built, hints)
    for proposal, source in _candidates(built, arguments, hints):
        fed = search.run(proposal, source)
        if fed is not None:
            return fed
        if search.exhausted:
            break
    raise _unfed(built, arguments, hints, search)


def _configured(built: BuiltModel, specs: Proposal, hints: Hints, arguments: list[Argument]) -> Fed:
    args, kwargs = make(specs, built, hints)
    trial = attempt(built, args, kwargs)
    if trial.error is None:
        return Fed(args, kwargs, described(args, kwargs), source="configured")
    path = built.target.path if built.target else ""
    raise analysis_error(
        trial.error,
        stage="feed",
        doing=f"forward on the configured inputs {described(args, kwargs)}",
        path=path,
        fallback=built.class_location,
        remedy=f"forward takes ({', '.join(argument.name for argument in arguments)}): correct `inputs`",
    ) from trial.error


def _candidates(built: BuiltModel, arguments: list[Argument], hints: Hints) -> Iterator[tuple[Proposal, str]]:
    target = built.target
    if target is not None and target.inputs is not None:
        yield from batched(target.inputs, hints, target.inputs_from)
    yield from announced(built.model, hints)
    yield from proposals(built.model, arguments, hints)


class _Search:
    """Tries proposals, and what their failures suggest, within a budget."""

    def __init__(self, built: BuiltModel, hints: Hints) -> None:
        self.built = built
        self.hints = hints
        self.trials = 0
        self.started = time.thread_time()
        self.tried: set[Proposal] = set()
        self.first: tuple[Trial, str] | None = None

    @property
    def exhausted(self) -> bool:
        """Whether the budget is spent."""
        return self.trials >= _MOST_TRIALS or time.thread_time() - self.started > _LONGEST_SEARCH

    def run(self, proposal: Proposal, source: str) -> Fed | None:
        """Try a proposal and the ones that its failure suggests."""
        trial = self._try(proposal)
        if trial is None:
            return None
        if trial.ok:
            return self._fed(self._enlarged(proposal, trial, source), source)
        if isinstance(trial.error, MissingPackageError):
            raise self._missing(trial.error) from trial.error
        mend = self._mended(proposal, trial)
        if mend is None:
            return None
        said = source if source.startswith("derived") else f"{source}, changed until the forward ran"
        return self._fed(self._enlarged(*mend, source), said)

    def _mended(self, proposal: Proposal, trial: Trial) -> tuple[Proposal, Trial] | None:
        """The first variation that runs. What came farthest is varied first, and what failed in a new way is varied in
        turn; given up where nothing has come farther for long."""
        order = itertools.count()
        best, stalled = trial.progress, 0
        queue = [_entry(trial, next(order), mended(proposal, trial, self.built.model, self.hints))]
        while queue and stalled < _LONGEST_STALL and not self.exhausted:
            *_, parent, mends = queue[0]
            mend = next(mends, None)
            if mend is None:
                heapq.heappop(queue)
                continue
            again = self._try(mend)
            if again is None:
                continue
            if again.ok:
                return mend, again
            stalled = 0 if again.progress > best else stalled + 1
            best = max(best, again.progress)
            if _is_news(again, parent):
                heapq.heappush(queue, _entry(again, next(order), mended(mend, again, self.built.model, self.hints)))
        return None

    def _missing(self, error: MissingPackageError) -> AnalysisError:
        path = self.built.target.path if self.built.target else ""
        place = self.built.class_location
        doing = "the forward pass"
        return analysis_error(error, stage="feed", doing=doing, path=path, fallback=place, remedy=error.remedy)

    def _try(self, proposal: Proposal) -> Trial | None:
        key = tuple(replace(spec, value=repr(spec.value)) for spec in proposal)
        if key in self.tried or sum(math.prod(spec.shape) for spec in proposal) > _MOST_ELEMENTS:
            return None
        self.tried.add(key)
        self.trials += 1
        args, kwargs = make(proposal, self.built, self.hints)
        trial = attempt(self.built, args, kwargs)
        if trial.error is not None and values_needed(trial.error, self.built):
            told = f"the forward pass on {described(args, kwargs)} depends on values: {describe(trial.error)}"
            raise ValuesNeededError(told, stage="feed", location=self.built.class_location) from trial.error
        if self.first is None and not trial.ok:
            self.first = (trial, described(args, kwargs))
        return trial

    def _enlarged(self, proposal: Proposal, trial: Trial, source: str) -> Proposal:
        """A larger image where the last maps are too small for statistics over them, if the model takes one."""
        if _is_one_patch(proposal, self.built.model, source):
            return self._of_patches(proposal)
        for _ in range(2):
            side, first = trial.smallest_map, proposal[0] if proposal else None
            if side is None or side >= _SMALLEST_MAP or not source.startswith("derived"):
                break
            if first is None or len(first.shape) != 4:
                break
            size = first.shape[-1] * -(-_SMALLEST_MAP // max(side, 1))
            if size > _LARGEST_IMAGE:
                break
            larger = (replace(first, shape=(*first.shape[:2], size, size)), *proposal[1:])
            again = self._try(larger)
            if again is None or not again.ok:
                break
            proposal, trial = larger, again
        return proposal

    def _of_patches(self, proposal: Proposal) -> Proposal:
        """An image of many patches, where one patch was what the first layer's width told."""
        first = proposal[0]
        for factor in (8, 7, 4, 2):
            size = first.shape[-1] * factor
            larger = (replace(first, shape=(*first.shape[:2], size, size)), *proposal[1:])
            again = self._try(larger) if size <= _LARGEST_IMAGE else None
            if again is not None and again.ok:
                return larger
        return proposal

    def _fed(self, proposal: Proposal, source: str) -> Fed:
        args, kwargs = make(proposal, self.built, self.hints)
        values = held(proposal, args, kwargs) if self.built.fake_mode is None else ()
        return Fed(args, kwargs, described(args, kwargs), held=values, source=source)


_Entry = tuple[tuple[int, int], int, Trial, Iterator[Proposal]]
"""A failed trial with its variations, in the order in which they are tried."""


def _entry(trial: Trial, order: int, mends: Iterator[Proposal]) -> _Entry:
    calls, line = trial.progress
    return (-calls, -line), order, trial, mends


def _is_news(trial: Trial, before: Trial) -> bool:
    """Whether a forward fails otherwise than it did before, or alike and later (of two arguments neither is there)."""
    assert trial.error is not None and before.error is not None
    return text_of(trial.error) != text_of(before.error) or trial.progress > before.progress


def _is_one_patch(proposal: Proposal, model: nn.Module, source: str) -> bool:
    """Whether an image was derived from a flat width, for a model without convolutions."""
    first = proposal[0].shape if proposal else ()
    image = len(first) == 4 and first[-1] < _SMALL_IMAGE and source.startswith("derived")
    return image and not any(isinstance(module, _ConvNd) for module in model.modules())


def _unfed(built: BuiltModel, arguments: list[Argument], hints: Hints, search: _Search) -> AnalysisError:
    names = [argument.name for argument in arguments]
    target = built.target
    path, name = (target.path, target.name) if target else ("", type(built.model).__name__)
    takes = f"forward({', '.join(names)})"
    place = built.class_location or Location(path, 1)
    message = f"no input found on which {name}.{takes} runs ({search.trials} tried)"
    reason = ""
    if search.first is not None:
        trial, shapes = search.first
        assert trial.error is not None
        reason = describe(trial.error)
        message += f"; with {shapes}: {reason}"
        raised = raised_at(trial.error, path)
        place = raised if raised is not None and raised.path == path else place
    helps = remedy(path, name, built.model, arguments, hints, reason)
    return AnalysisError(message, stage="feed", location=place, remedy=helps)


__all__ = ["InputSpec", "feed"]
