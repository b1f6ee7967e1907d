"""Results of files that an earlier run has kept, and those that this one keeps.

What is kept is what the worker said, before comments, baseline and configuration settle what becomes of it: they may
change without another look at the model.
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence

import msgspec

from gradlint import __version__
from gradlint.cache.environment import environment_key
from gradlint.cache.observations import FOLDER, NEVER, Present, Seen, digest
from gradlint.cache.recorder import unwatched
from gradlint.cache.store import Store
from gradlint.config import COMMAND_LINE, ENVIRONMENT, Config
from gradlint.core.report import Skipped
from gradlint.core.target import Target
from gradlint.engine.collect import Job
from gradlint.engine.places import named_path
from gradlint.engine.reading import Reading
from gradlint.worker.environment import scrubbed
from gradlint.worker.messages import Settings, TargetResult
from gradlint.worker.portable import portable


class Kept(msgspec.Struct, frozen=True):
    """Everything that came of one file."""

    results: dict[str, TargetResult]
    """By name of the target."""
    skipped: tuple[Skipped, ...]
    is_whole: bool
    sets: tuple[str, ...]
    """Keys of observations that many files share: what was installed, and what the worker was made of."""
    seen: Seen


_AT_ONCE = 100
_AT_LEAST_EVERY = 1.0
"""Rows written together, and seconds for which none waits beyond the next one. Looking at a file without a model takes
2 ms, writing its result alone a fifth of that."""
_kept = msgspec.json.Decoder(Kept)
_seen = msgspec.json.Decoder(Seen)


class Answers:
    """What the worker said of one file, as far as it may be kept."""

    def __init__(self) -> None:
        self.results: dict[str, TargetResult] = {}
        self.seen: Seen = {}
        self.bases: list[Seen] = []
        self.why_not = ""
        """Why it is not kept; empty where it is."""

    def refuse(self, why: str) -> None:
        """Time, memory or a crash had their say, which would be another one the next time."""
        self.why_not = self.why_not or why

    def observed(self, seen: Seen | None, base: Seen | None) -> None:
        """Take up what an answer was made from; `seen` is None where nobody knows."""
        if seen is None or base is None:
            self.why_not = self.why_not or "what it was made from is not known"
            return
        for key, value in seen.items():
            if key.startswith(f"{NEVER} "):
                self.why_not = self.why_not or key.removeprefix(f"{NEVER} ")
            if self.seen.setdefault(key, value) != value:
                self.why_not = self.why_not or f"{key.partition(' ')[2]} changed meanwhile"
        if base not in self.bases:
            self.bases.append(base)


class Memory:
    """The cache of one run."""

    def __init__(self, store: Store, environment: Mapping[str, str] | None = None) -> None:
        """`environment`: usually `os.environ`."""
        given = scrubbed(os.environ.copy() if environment is None else environment)
        self.store = store
        self.found = 0
        """Files that were not looked at anew."""
        self.why_not: dict[str, str] = {}
        """Files whose results are not kept, and why."""
        self.seen: Seen = {}
        """Everything that the results of this run were made from, beside the sets."""
        self.sets: set[str] = set()
        with unwatched():
            self._environment = environment_key(given, __version__)
        self._present = Present(given)
        self._holds: dict[str, bool] = {}
        self._waiting: dict[str, bytes] = {}
        self._written = time.monotonic()
        self._lock = threading.Lock()

    def key(self, job: Job, source: str, config: Config, configured: Sequence[Target], settings: Settings) -> str:
        """What the results of a file are kept under: everything that is known before it is looked at."""
        said = [portable(target) for target in configured if target.path == job.path]
        defaults = (config.optimizer, config.batch, config.sequence_length, config.all_modules)
        parts = (self._environment, job.path, job.names, job.module, said, defaults, settings)
        head = digest(msgspec.json.encode(parts))
        body = digest(source.encode("utf-8", "surrogatepass"))
        return f"file {head}{body}"

    def find(self, key: str, source: str) -> tuple[Reading, dict[str, TargetResult]] | None:
        """What is known of a file, where everything that it was made from is as it was."""
        body = self.store.get(key)
        if body is None:
            return None
        try:
            kept = _kept.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return None
        with self._lock, unwatched():
            if not (all(map(self._set_holds, kept.sets)) and self._present.holds(kept.seen)):
                return None
            self._take_up(kept)
            self.found += 1
        return Reading(source, (), kept.skipped, is_whole=kept.is_whole), kept.results

    def keep(self, key: str, job: Job, reading: Reading, answers: Answers) -> None:
        """Keep what came of a file, or say why not."""
        if answers.why_not:
            with self._lock:
                self.why_not[job.shown] = answers.why_not
            return
        sets = {_set_key(body): body for body in map(msgspec.json.encode, answers.bases)}
        shared = {name: value for name, value in answers.seen.items() if name.startswith("stamp ")}
        if shared:
            body = msgspec.json.encode(dict(sorted(shared.items())))
            sets[_set_key(body)] = body
        rest = {name: value for name, value in answers.seen.items() if name not in shared}
        kept = Kept(answers.results, reading.skipped, reading.is_whole, tuple(sets), rest)
        with self._lock:
            self._waiting |= {key: msgspec.json.encode(kept), **sets}
            self._take_up(kept)
            is_due = len(self._waiting) >= _AT_ONCE or time.monotonic() - self._written >= _AT_LEAST_EVERY
        if is_due:
            self.write()

    def write(self) -> None:
        """Write down what is to be kept and is not yet written."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
            self._written = time.monotonic()
        if waiting:
            self.store.put(waiting)

    def _take_up(self, kept: Kept) -> None:
        self.seen.update(kept.seen)
        self.sets.update(kept.sets)

    def _set_holds(self, key: str) -> bool:
        if key not in self._holds:
            body = self.store.get(key)
            self._holds[key] = body is not None and key == _set_key(body) and self._present.holds(_seen.decode(body))
        return self._holds[key]


def _set_key(body: bytes) -> str:
    return f"seen {digest(body)}"


def folder_of(config: Config) -> str:
    """Where the cache of a run lies: beside the configuration file, or in the working directory where there is none."""
    files = [origin for origin in config.origins.values() if origin not in (COMMAND_LINE, ENVIRONMENT)]
    root = config.root if files else os.getcwd()  # noqa: PTH109
    if config.cache_dir is None:
        return os.path.join(root, FOLDER)  # noqa: PTH118
    return str(named_path(config, "cache-dir", config.cache_dir).absolute())
