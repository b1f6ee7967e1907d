"""`gradlint merge`: the reports of all shards, made what one run on all files would have reported."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from gradlint import __version__, registry
from gradlint.config import Config
from gradlint.core.errors import UsageError
from gradlint.core.location import Location
from gradlint.core.report import Report, Shard
from gradlint.engine.gating import FileResult, joined, run_of, with_baseline
from gradlint.engine.shards.part import Known, Part, unpacked
from gradlint.gate import known
from gradlint.gate.baseline import parse_baseline
from gradlint.gate.known import Found
from gradlint.registry import Selection

_HOW = "write it with: gradlint check PATHS --shard 1/8 --report json=shard-1.json"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Merged:
    """The report of the whole run, and what it takes to print it as that run would have."""

    report: Report
    fail_on: str
    lines: Mapping[tuple[str, int], str]
    """Source lines by path and number."""


@dataclass(frozen=True, slots=True)
class _Read:
    """One report, and the file it was read from."""

    path: str
    shard: Shard
    part: Part


def merge(paths: Sequence[str]) -> Merged:
    """Make one report of those of all shards. Nothing but these files is read.

    Raises:
        UsageError: a file that is no report of a shard, a shard that is missing or there twice, shards that differ in
            their version, settings, files or baseline.
    """
    shards = sorted(map(_read, paths), key=lambda item: item.shard.index)
    _require_all(shards)
    for other in shards[1:]:
        _require_same(shards[0], other)
    first, parts = shards[0].part, [item.part for item in shards]
    config = msgspec.convert(first.settings, Config)
    selection = registry.select(registry.load(), config)
    by_path = {result.path: result for part in parts for result in part.results}
    results = tuple(by_path[item.path] for item in first.listed)
    used = {number for result in results for number in result.used}
    whole = {result.path for result in results if result.looked.is_complete}
    idle = tuple(o.complaint for o in first.overrides if o.number not in used and whole.issuperset(o.files))
    seconds = sum(part.seconds for part in parts)
    report = joined(results, missing=first.missing, idle=idle, files=len(results), seconds=seconds)
    report = _less_known(report, results, parts, selection)
    report = replace(report, notes=first.notes + report.notes)
    return Merged(report, config.fail_on, _lines(parts))


def _less_known(report: Report, results: Sequence[FileResult], parts: Sequence[Part], selection: Selection) -> Report:
    """The report held against the baseline, where there is one."""
    views = [part.baseline for part in parts if part.baseline is not None]
    if not views:
        return report
    baseline = parse_baseline(views[0].text, Path(views[0].path))
    names = {path: name for view in views for path, name in view.names.items()}
    hashes = {id(finding): digest for part in parts for finding, digest in _hashed(part)}
    found = [
        Found(finding, names[result.path], hashes[id(finding)]) for result in results for finding in result.findings
    ]
    gone, covered = frozenset(views[0].gone), frozenset(views[0].covered)
    run = run_of(results, selection, names.__getitem__, is_gone=gone.__contains__, is_covered=covered.__contains__)
    return with_baseline(report, known.match(baseline, found, run), run, baseline, selection)


def _lines(parts: Sequence[Part]) -> dict[tuple[str, int], str]:
    lines = {(path, line): text for part in parts for path, line, text in part.lines}
    view = parts[0].baseline
    if view is not None:
        lines |= {(view.path, number): text for number, text in enumerate(view.text.split("\n"), start=1)}
    return lines


def _read(path: str) -> _Read:
    """One report of a shard; raises UsageError that says what else it is."""
    document = _document(path)
    shard = document.get("shard")
    if not isinstance(shard, dict):
        raise UsageError(f"{path} is not the report of a shard{_error_in(document)}", remedy=_HOW)
    version = shard.get("gradlint")
    if version != __version__:
        reason = f"{path} is of gradlint {version}, this is {__version__}"
        raise UsageError(reason, remedy="run all shards and the merge with one version")
    try:
        read = msgspec.convert(shard, Shard)
        return _Read(path, read, unpacked(read.data))
    except ValueError as error:  # msgspec.ValidationError is one
        raise UsageError(f"{path}: what the merge needs of it is damaged: {error}", remedy=_HOW) from error


def _document(path: str) -> dict[str, Any]:
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        where = Location(path, error.lineno, error.colno)
        raise UsageError(f"{path} is not JSON: {error.msg}", location=where, remedy=_HOW) from error
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read the report {path}: {reason}", remedy=_HOW) from error
    if not isinstance(document, dict) or document.get("schema") != "gradlint/1":
        raise UsageError(f"{path} is no JSON report of gradlint", remedy=_HOW)
    return document


def _error_in(document: Mapping[str, Any]) -> str:
    """What a run that failed as a whole says in its report: it has looked at no file."""
    try:
        reason = document["skipped"][0]["reason"] if document["summary"]["files"] == 0 else ""
    except (KeyError, IndexError, TypeError):
        return ""
    return f', it tells of an error: "{reason}"' if reason else ""


def _require_all(shards: Sequence[_Read]) -> None:
    """Raise UsageError unless every shard is there once."""
    if not shards:
        raise UsageError("there is no report to merge", remedy=_HOW)
    first = shards[0]
    for other in shards[1:]:
        if other.shard.total != first.shard.total:
            of = f"{first.path} is one of {first.shard.total} shards, {other.path} one of {other.shard.total}"
            raise UsageError(f"these are not shards of one run: {of}", remedy="merge the reports of one run only")
    for one, other in pairwise(shards):
        if one.shard.index == other.shard.index:
            both = f"{one.path} and {other.path} are both shard {one.shard.index} of {one.shard.total}"
            raise UsageError(both, remedy="name the report of each shard once")
    there = {item.shard.index for item in shards}
    absent = [number for number in range(1, first.shard.total + 1) if number not in there]
    if absent:
        more = f" and {len(absent) - _NAMED} more" if len(absent) > _NAMED else ""
        which = f"shard {', '.join(map(str, absent[:_NAMED]))}{more} of {first.shard.total}"
        raise UsageError(f"the report of {which} is missing", remedy="name the reports of all shards")


def _require_same(one: _Read, other: _Read) -> None:
    """Raise UsageError where two shards are not of one run."""
    for what, left, right in (
        ("versions", one.part.versions, other.part.versions),
        ("settings", one.part.settings, other.part.settings),
        ("files", _digests(one.part), _digests(other.part)),
        ("baselines", _baseline(one.part.baseline), _baseline(other.part.baseline)),
        ("files", Counter(item.path for item in one.part.missing), Counter(item.path for item in other.part.missing)),
    ):
        if left != right:
            about = _difference(left, right)
            reason = f"{one.path} and {other.path} were made with different {what}{about}"
            remedy = "run all shards on one commit, in one environment, with the same options but for --shard"
            raise UsageError(reason, remedy=remedy)


def _digests(part: Part) -> dict[str, str]:
    return {item.path: item.digest for item in part.listed}


def _baseline(view: Known | None) -> dict[str, str]:
    return {} if view is None else {view.path: view.text}


def _difference(left: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """The first key that differs, with both values where these are short."""
    key = min(key for key in {*left, *right} if left.get(key) != right.get(key))
    values = [str(side.get(key)) for side in (left, right)]
    shown = f" ({values[0]} and {values[1]})" if all(len(value) <= 20 for value in values) else ""
    return f": {key}{shown}"


def _hashed(part: Part) -> list[tuple[Any, str]]:
    assert part.baseline is not None
    findings = [finding for result in part.results for finding in result.findings]
    return list(zip(findings, part.baseline.hashes, strict=True))
