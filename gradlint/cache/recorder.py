"""Record what the code that runs in this process observes: files, folders, links, imports, environment variables.

Python tells audit hooks of every file that it opens and every folder that it lists, but neither of a file that is asked
for and absent nor of variables: for these, functions of `os` are stood in for while a recorder is active. What nobody
can tell (what another process or a server answered) makes the result one that is not kept.
"""

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from gradlint.cache import callers, standing_in
from gradlint.cache.environment import GRADLINT
from gradlint.cache.observations import (
    CONTENT,
    NEVER,
    PACKAGES,
    STAMP,
    VARIABLES,
    Seen,
    is_installed,
    key_of,
    observe,
)

_MACHINE = ("/proc/", "/sys/", "/dev/")
"""What they tell is a fact of the machine, or means nothing (`/dev/null`)."""
_WRITES = os.O_WRONLY | os.O_RDWR
Owners = dict[str, str]
"""Modules that are being imported, and their files."""


class Recorder:
    """Everything observed between `begin` and `finish`. One at a time is active in a process."""

    def __init__(self, environment: Mapping[str, str] | None = None, *, is_own: bool = False) -> None:
        """Nothing is recorded yet.

        Args:
            environment: as the process was given it, whatever it has changed since.
            is_own: whether this is gradlint's own process, which starts workers and asks its store by design.
        """
        self._environment = dict(os.environ if environment is None else environment)
        self._is_own = is_own
        self._seen: Seen = {}
        self._owned: dict[str, tuple[str, list[Owners]]] = {}
        self._states: dict[str, tuple[int, ...]] = {}
        self._made: set[str] = set()
        self._local = threading.local()

    def begin(self, *, anew: bool = True) -> None:
        """Record from now on; `anew` forgets what was seen before, save what modules that stay loaded have seen."""
        if anew:
            self._seen = {}
            self._states = {}
            self._made = set()
        _activate(self)

    def finish(self) -> Seen:
        """Everything seen since it was begun anew, and by the modules that are still loaded when they were."""
        _activate(None)
        with self.unwatched():
            self._owned = {key: item for key, item in self._owned.items() if any(map(_are_loaded, item[1]))}
            for key, (value, _) in self._owned.items():
                self._seen.setdefault(key, value)
            for path, before in self._states.items():
                if _state(path) != before:
                    self._note(NEVER, f"{path} changed while it was read")
            return dict(self._seen)

    def refuse(self, why: str) -> None:
        """What is being done is not to be kept."""
        with self.unwatched():
            self._note(NEVER, why)

    def leave_out(self, folder: str) -> None:
        """What a folder of gradlint's own holds tells nothing."""
        self._made.add(folder)

    def modules(self, seen: Seen, apart: frozenset[str] = frozenset()) -> Seen:
        """The files of all modules loaded now that are neither the standard library's nor known by name already."""
        found: Seen = {}
        with self.unwatched():
            for name, module in list(sys.modules.items()):
                path = getattr(module, "__file__", None)
                if name in apart or not isinstance(path, str) or path.startswith("<") or _is_known(path):
                    continue
                what = STAMP if is_installed(path) else CONTENT
                key = key_of(what, path)
                if key not in seen and path.startswith("/"):
                    found[key] = observe(what, path, {})
        return found

    def installed(self) -> Seen:
        """What is installed in each folder of the import path."""
        with self.unwatched():
            folders = [
                entry for entry in sys.path if os.path.isdir(entry or ".") and not callers.is_standard(f"{entry}/")
            ]
            return {key_of(PACKAGES, full): observe(PACKAGES, full, {}) for full in map(_full, folders) if full}

    @contextmanager
    def unwatched(self) -> Iterator[None]:
        """What this thread does inside is no observation of the code that is recorded."""
        before = getattr(self._local, "is_inside", False)
        self._local.is_inside = True
        try:
            yield
        finally:
            self._local.is_inside = before

    def is_inside(self) -> bool:
        """Whether this thread is just taking down an observation."""
        return getattr(self._local, "is_inside", False)

    def note(self, what: str, subject: str, frame: FrameType | None) -> None:
        """Take down an observation, as the thing is now: before it is read."""
        if self.is_inside():
            return
        with self.unwatched():
            self._note(what, subject, frame)

    def note_environment(self, frame: FrameType | None) -> None:
        """All variables are looked at. gradlint's own process does so only to pass them on, or for its own few."""
        if not self._is_own:
            self.note(VARIABLES, "", frame)

    def note_path(self, what: str, path: Any, frame: FrameType | None) -> None:
        """The same, of a path in any form; descriptors stand for nothing new."""
        if isinstance(path, int) or path is None or self.is_inside():
            return
        with self.unwatched():
            full = _full(path)
            if full is None or f"{full}/".startswith(_MACHINE) or _is_known(full) or self._is_made(full):
                return
            self._note(what, full, frame)

    def _note(self, what: str, subject: str, frame: FrameType | None = None) -> None:
        if what == CONTENT:
            source = _source_of(subject)
            what = STAMP if is_installed(source) else CONTENT
            if what == CONTENT and source != subject and _is_older(subject, source):
                self._note(NEVER, f"Python took old byte code for {source}")
            subject = source
        key = key_of(what, subject)
        value = self._seen.get(key)
        if value is None:
            value = "" if what == NEVER else observe(what, subject, self._environment)
            self._seen[key] = value
            if what == CONTENT:
                self._states[subject] = _state(subject)
        owners = callers.importing(frame)
        if owners:
            known = self._owned.setdefault(key, (value, []))[1]
            if owners not in known:
                known.append(owners)

    def _is_made(self, path: str) -> bool:
        """Whether the recorded code has made the file or folder itself: what it holds is no news."""
        return any(path == made or path.startswith(f"{made}/") for made in self._made)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        """An audit event."""
        if event == "open":
            self._opened(*arguments)
        elif event in ("os.listdir", "os.scandir"):
            frame = sys._getframe(2)
            what = callers.listing(frame)
            if what is not None:
                self.note_path(what, arguments[0] if arguments[0] is not None else ".", frame)
        elif event == "os.mkdir":
            with self.unwatched():
                full = _full(arguments[0])
                if full is not None and not os.path.lexists(full):
                    self._made.add(full)
        elif event == "ctypes.dlopen" and "/" in str(arguments[0]):
            self.note_path(CONTENT, arguments[0], sys._getframe(2))
        elif event in standing_in.ELSEWHERE and not self._is_own:
            self.note(NEVER, standing_in.ELSEWHERE[event], sys._getframe(2))

    def _opened(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, int) or self.is_inside():
            return
        writes = isinstance(flags, int) and bool(flags & _WRITES)
        is_new = writes and bool(flags & (os.O_TRUNC | os.O_EXCL))
        if not is_new:
            self.note_path(CONTENT, path, sys._getframe(3))
        if writes:
            with self.unwatched():
                full = _full(path)
                if full is not None:
                    self._made.add(full)


def _full(path: Any) -> str | None:
    """Absolute, links and dots left as they are; None where it is no path, or none that JSON can hold."""
    try:
        text = os.fsdecode(path)
        full = text if text.startswith("/") else os.path.join(os.getcwd(), text)
        full.encode("utf-8")
    except (TypeError, OSError, UnicodeEncodeError):
        return None
    return full


def _is_known(path: str) -> bool:
    """Whether the key of every result speaks for a file: the standard library's and gradlint's own."""
    return path.startswith(GRADLINT) or callers.is_standard(path)


def _source_of(path: str) -> str:
    """What a file of byte code was made from: Python reads only the one, and believes it by size and time."""
    folder, _, name = path.rpartition("/")
    if not (name.endswith(".pyc") and folder.endswith("/__pycache__")):
        return path
    return f"{folder.removesuffix('/__pycache__')}/{name.partition('.')[0]}.py"


def _is_older(code: str, source: str) -> bool:
    """Whether a source was written after its byte code: within one second, and to the same size, Python misses that."""
    written = _state(code)[1:2]
    return bool(written) and _state(source)[1:2] > written


def _state(path: str) -> tuple[int, ...]:
    """Everything that changes with a file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return ()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino


def _are_loaded(owners: Owners) -> bool:
    """Whether one of the modules is loaded, from the same file as far as that is known."""
    for name, origin in owners.items():
        module = sys.modules.get(name)
        if module is not None and getattr(module, "__file__", None) in (origin, None):
            return True
    return False


_active: Recorder | None = None


def active() -> Recorder | None:
    """The recorder that listens now."""
    return _active


@contextmanager
def unwatched() -> Iterator[None]:
    """What this thread does inside is no observation, whoever records."""
    if _active is None:
        yield
        return
    with _active.unwatched():
        yield


def refuse(why: str) -> None:
    """Have the result of what is being done not kept, where anything is recorded at all."""
    if _active is not None:
        _active.refuse(why)


def _activate(recorder: Recorder | None) -> None:
    global _active
    _active = recorder
    if recorder is not None:
        standing_in.put_up(active)
    else:
        standing_in.take_down()
