"""A recorder's hooks in the interpreter: an audit hook, functions of `os` and methods of `os.environ` stood in for, and
a finder that sees which modules are looked for. All but the audit hook, which sleeps, are taken down again.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gradlint.cache import callers
from gradlint.cache.observations import CONTENT, LINK, MODULE, VARIABLE, is_installed

if TYPE_CHECKING:
    from gradlint.cache.recorder import Recorder

Who = Callable[[], "Recorder | None"]
_who: list[Who] = []
"""Says which recorder is active; empty until the first one is."""
_originals: dict[tuple[Any, str], Any] = {}
_Environ: Any = type(os.environ)
ELSEWHERE = {
    "subprocess.Popen": "it starts a process",
    "os.system": "it starts a process",
    "os.exec": "it starts a process",
    "os.posix_spawn": "it starts a process",
    "os.spawn": "it starts a process",
    "os.fork": "it starts a process",
    "os.forkpty": "it starts a process",
    "socket.connect": "it asks the network",
    "socket.getaddrinfo": "it asks the network",
    "socket.gethostbyname": "it asks the network",
    "socket.sendto": "it asks the network",
    "urllib.Request": "it asks the network",
    "sqlite3.connect": "it asks a database",
}
"""Events that bring in what cannot be observed again, and how that is told."""
_HEARD = frozenset(["open", "os.listdir", "os.scandir", "os.mkdir", "ctypes.dlopen", *ELSEWHERE])


def put_up(who: Who) -> None:
    """Let a recorder hear; `who` says which one."""
    if not _who:
        _who.append(who)
        sys.addaudithook(_hear)
    if _originals:
        return
    for name in ("stat", "lstat"):
        _replace(os, name, _asking(getattr(os, name)))
    _replace(os, "access", _telling(os.access, CONTENT))
    _replace(os, "readlink", _telling(os.readlink, LINK))
    _replace(_Environ, "__getitem__", _variable(_Environ.__getitem__))
    for name in ("__iter__", "__len__", "copy"):
        _replace(_Environ, name, _variables(getattr(_Environ, name)))  # all at once: none of them is noted singly
    sys.meta_path.insert(0, _searches)


def take_down() -> None:
    """Put back what was stood in for."""
    for (owner, name), original in _originals.items():
        setattr(owner, name, original)
    _originals.clear()
    if _searches in sys.meta_path:
        sys.meta_path.remove(_searches)


def _replace(owner: Any, name: str, substitute: Any) -> None:
    original = getattr(owner, name)
    _originals[owner, name] = original
    setattr(owner, name, substitute)
    for known in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd, os.supports_effective_ids):
        if original in known:
            known.add(substitute)


def _recorder() -> "Recorder | None":
    return _who[0]() if _who else None


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    recorder = _recorder()
    if recorder is not None and event in _HEARD and not recorder.is_inside():
        recorder.hear(event, arguments)


def _asking(original: Callable[..., Any]) -> Callable[..., Any]:
    """`os.stat` and `os.lstat`."""

    @wraps(original)
    def ask(path: Any, *args: Any, **kwargs: Any) -> Any:
        recorder = _recorder()
        if recorder is not None and not recorder.is_inside() and not kwargs.get("dir_fd"):
            frame = sys._getframe(1)
            what = callers.asked(frame)
            recorder.note_path(what, path, frame)
            if original.__name__ == "lstat" or kwargs.get("follow_symlinks") is False:
                recorder.note_path(LINK, path, frame)
        return original(path, *args, **kwargs)

    return ask


def _telling(original: Callable[..., Any], what: str) -> Callable[..., Any]:
    @wraps(original)
    def tell(path: Any, *args: Any, **kwargs: Any) -> Any:
        recorder = _recorder()
        if recorder is not None:
            recorder.note_path(what, path, sys._getframe(1))
        return original(path, *args, **kwargs)

    return tell


def _variable(original: Callable[..., Any]) -> Callable[..., Any]:
    """`os.environ[name]`, and with it `get`, `in` and `os.getenv`."""

    @wraps(original)
    def read(self: Any, name: Any) -> Any:
        recorder = _recorder()
        if recorder is not None and isinstance(name, str | bytes):
            recorder.note(VARIABLE, os.fsdecode(name), sys._getframe(1))
        return original(self, name)

    return read


def _variables(original: Callable[..., Any]) -> Callable[..., Any]:
    """What looks at all variables at once."""

    @wraps(original)
    def read(self: Any) -> Any:
        recorder = _recorder()
        if recorder is None:
            return original(self)
        recorder.note_environment(sys._getframe(1))
        with recorder.unwatched():
            return original(self)

    return read


class _Searches:
    """Stands in front of all finders, finds nothing, and observes where a module could have been found."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        recorder = _recorder()
        if recorder is None or recorder.is_inside():
            return
        frame = sys._getframe(1)
        for place in _places(name, path):
            recorder.note_path(MODULE, place, frame)

    def invalidate_caches(self) -> None:
        """Keeps nothing."""


_searches = _Searches()


def _places(name: str, path: Sequence[str] | None) -> Iterator[str]:
    """Where a module may be, outside of where packages are installed: those are known by name."""
    last = name.rpartition(".")[2]
    for folder in sys.path if path is None else path:
        if not isinstance(folder, str) or is_installed(folder) or callers.is_standard(f"{folder}/"):
            continue
        yield os.path.join(folder or os.getcwd(), last)
