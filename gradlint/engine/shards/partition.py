"""Which shard checks which file: the same on every machine, and whatever order the paths were given in."""

import hashlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gradlint.core.errors import UsageError
from gradlint.core.report import Shard
from gradlint.engine.collect import Job

_MODEL_COST = 100
"""Cost of a model, in files that hold none and are only parsed."""
_EXAMPLE = "as in --shard 3/8: the third of eight, counted from 1"
_MOST = 10_000
_FORWARD = re.compile(rb"\bdef[ \t]+forward\b")


class Listed(msgspec.Struct, frozen=True):
    """One file of the whole run: its path as shown, a digest of its content, the shard that checks it."""

    path: str
    digest: str
    shard: int


def parse(text: str) -> Shard:
    """A shard from `3/8`; raises UsageError for anything else."""
    match = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text)
    if match is None:
        raise UsageError(f'--shard "{text}" is no shard', remedy=_EXAMPLE)
    index, total = int(match[1]), int(match[2])
    if not 1 <= total <= _MOST:
        raise UsageError(f'--shard "{text}": expected 1 to {_MOST} shards', remedy=_EXAMPLE)
    if not 1 <= index <= total:
        raise UsageError(f'--shard "{text}": there is no shard {index} of {total}', remedy=_EXAMPLE)
    return Shard(index, total)


def partition(jobs: Iterable[Job], total: int) -> tuple[Listed, ...]:
    """Every file with its shard, in the order of `jobs`.

    Dear files first, each goes to the shard that has least to do so far; what a file costs is told from its text, so
    that all machines agree.
    """
    read = [(job, _content(job.path)) for job in jobs]
    loads = [0] * total
    owners: dict[str, int] = {}
    for job, data in sorted(read, key=lambda item: (-_cost(item[1]), _name(item[0].path))):
        shard = min(range(total), key=loads.__getitem__)
        loads[shard] += _cost(data)
        owners[job.path] = shard + 1
    return tuple(Listed(job.shown, hashlib.sha256(data).hexdigest()[:16], owners[job.path]) for job, data in read)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""  # the check says so


def _cost(data: bytes) -> int:
    """One for parsing, more for each class with a forward of its own."""
    return 1 + _MODEL_COST * len(_FORWARD.findall(data))


def _name(path: str) -> str:
    """A file as every machine calls it that has the repository somewhere."""
    return Path(os.path.relpath(path)).as_posix()
