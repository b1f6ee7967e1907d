"""One shard of a check: its own report, and in it what the merge will need."""

import base64
import importlib.metadata
import json
import linecache
import platform
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from gradlint import __version__, registry
from gradlint.config import Config
from gradlint.core.errors import UsageError
from gradlint.core.finding import Finding
from gradlint.core.report import Report, Shard, SilencedBy, Skipped
from gradlint.engine.collect import STDIN, Job, collect
from gradlint.engine.gating import FileResult, Gathered, without_known
from gradlint.engine.places import known_findings
from gradlint.engine.reading import configured_targets
from gradlint.engine.run import Progress, look_at
from gradlint.engine.shards.partition import Listed, partition
from gradlint.engine.shown import Shown
from gradlint.gate import known
from gradlint.gate.baseline import Baseline
from gradlint.gate.configured import Configured

_UNCOMPARED = ("root", "origins", "jobs", "baseline")
"""Settings that may differ between machines; of the baseline the content counts."""


class Override(msgspec.Struct, frozen=True):
    """One override of the configuration."""

    number: int
    complaint: Finding
    """What is said of it where it is of no use."""
    files: tuple[str, ...]
    """All that it means: only where each was looked at as a whole is it known to be of no use."""


class Known(msgspec.Struct, frozen=True):
    """A baseline as one shard sees it."""

    path: str
    text: str
    names: dict[str, str]
    """How its entries name each file of the shard."""
    hashes: tuple[str, ...]
    """Of the shard's findings, one after the other."""
    gone: tuple[str, ...]
    """Files of entries that are no longer there."""
    covered: tuple[str, ...]
    """Files of entries that the run would have checked, were they there."""


class Part(msgspec.Struct, frozen=True):
    """What one shard tells the merge: as little as makes the report of the whole, so that it needs no other file.

    Paths are as shown in reports.
    """

    versions: dict[str, str]
    settings: dict[str, Any]
    listed: tuple[Listed, ...]
    """All files of the whole run."""
    missing: tuple[Skipped, ...]
    results: tuple[FileResult, ...]
    """The shard's own files."""
    overrides: tuple[Override, ...]
    baseline: Known | None
    lines: tuple[tuple[str, int, str], ...] = ()
    """Source lines that findings point at."""
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """Of the whole run."""


def check_shard(
    paths: Sequence[str],
    config: Config,
    shard: Shard,
    *,
    progress: Progress | None = None,
    notes: tuple[str, ...] = (),
) -> Report:
    """As `check`, of one shard of the files. What only the whole run can tell (GL004, idle overrides) is left to it.

    Args:
        paths: what the whole run is to check.
        config: settings.
        shard: which part of it.
        progress: told how the run gets on.
        notes: of the whole run.

    Raises:
        UsageError: as for `check`; standard input among the paths.
    """
    began = time.monotonic()
    if STDIN in paths:
        raise UsageError("--shard takes files and folders, not standard input", remedy="check it without --shard")
    selection = registry.select(registry.load(), config)
    configured_targets(config)
    baseline = known_findings(config)
    jobs, missing = collect(paths, config)
    listed = partition(jobs, shard.total)
    own = tuple(job for job, item in zip(jobs, listed, strict=True) if item.shard == shard.index)
    gathered = look_at(Gathered(tuple(paths), own, missing, (), config, selection), progress=progress)
    shown = Shown(jobs)
    report = gathered.report(time.monotonic() - began)
    part = _part(gathered, listed, jobs, baseline, shown)
    part = msgspec.structs.replace(part, seconds=report.seconds, notes=notes)
    if baseline is not None:
        matched, _ = gathered.matched(baseline)
        report = without_known(report, matched, SilencedBy.BASELINE)
        report = replace(report, notes=known.moves(matched))
    note = f"shard {shard.index} of {shard.total}: {len(own)} of {len(jobs)} files"
    made = replace(shard, gradlint=__version__, data=packed(part))
    return shown.report(replace(report, notes=(*notes, *report.notes, note), shard=made))


def _part(
    gathered: Gathered, listed: tuple[Listed, ...], jobs: Sequence[Job], baseline: Baseline | None, shown: Shown
) -> Part:
    part = Part(
        versions=_versions(),
        settings=_settings(gathered.config),
        listed=listed,
        missing=tuple(map(shown.skipped, gathered.missing)),
        results=tuple(_shown(result, shown) for result in gathered.results),
        overrides=tuple(_overrides(gathered, jobs, shown)),
        baseline=_known(baseline, gathered, shown) if baseline is not None else None,
    )
    return msgspec.structs.replace(part, lines=tuple(_lines(part)))


def _versions() -> dict[str, str]:
    """What the figures of a report depend on."""
    found = {"torch": importlib.metadata.version("torch"), "Python": platform.python_version()}
    for point in importlib.metadata.entry_points(group=registry.GROUP):
        found[f"rule pack {point.name}"] = point.dist.version if point.dist is not None else ""
    return dict(sorted(found.items()))


def _settings(config: Config) -> dict[str, Any]:
    given: dict[str, Any] = msgspec.to_builtins(config)
    return {key: value for key, value in given.items() if key not in _UNCOMPARED}


def _shown(result: FileResult, shown: Shown) -> FileResult:
    heeded = frozenset((shown.path(path), line) for path, line in result.heeded)
    return replace(shown.report(result), path=shown.path(result.path), heeded=heeded)


def _overrides(gathered: Gathered, jobs: Iterable[Job], shown: Shown) -> Iterator[Override]:
    complaints = list(Configured(gathered.config, gathered.selection).complaints())
    if not complaints:
        return
    below, _ = collect([gathered.config.root or "."], gathered.config)
    paths = sorted({job.path for job in (*jobs, *below)})
    for number, complaint, means in complaints:
        yield Override(number, shown.finding(complaint), tuple(shown.path(path) for path in paths if means(path)))


def _known(baseline: Baseline, gathered: Gathered, shown: Shown) -> Known:
    _, run = gathered.matched(baseline)
    paths = sorted({entry.path for entry in baseline.entries})
    return Known(
        shown.path(str(baseline.path)),
        baseline.path.read_text(encoding="utf-8-sig"),
        {shown.path(result.path): baseline.shown(result.path) for result in gathered.results},
        tuple(item.hash for item in gathered.found(baseline)),
        gone=tuple(filter(run.is_gone, paths)),
        covered=tuple(filter(run.is_covered, paths)),
    )


def _lines(part: Part) -> Iterator[tuple[str, int, str]]:
    findings = [finding for result in part.results for finding in result.findings]
    findings += [item.finding for result in part.results for item in result.suppressed]
    findings += [override.complaint for override in part.overrides]
    places = {(site.location.path, site.location.line) for finding in findings for site in finding.sites}
    for path, line in sorted(places):
        yield path, line, linecache.getline(path, line).rstrip("\n")


def packed(part: Part) -> str:
    """A part as text that no output format changes, whatever characters its names and lines hold."""
    text = json.dumps(msgspec.to_builtins(part), separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode("ascii"), 9)).decode("ascii")


def unpacked(data: str) -> Part:
    """The part that a text holds; raises ValueError where it holds none."""
    try:
        return msgspec.convert(json.loads(zlib.decompress(base64.b64decode(data, validate=True))), Part)
    except (zlib.error, RecursionError) as error:
        raise ValueError(str(error)) from error
