"""What a run can observe of the machine, each as a short text that differs when the thing does.

An observation goes by a key, `what subject` ("content /repository/net.py"); the same functions say what was seen while
a run was recorded, and what is there now.
"""

import _imp
import hashlib
import os
import stat
from collections.abc import Callable, Mapping

FOLDER = ".gradlint_cache"
CONTENT, KIND, STATUS, LISTING, WALK = "content", "kind", "status", "listing", "walk"
LINK, STAMP, MODULE, PACKAGES = "link", "stamp", "module", "packages"
VARIABLE, VARIABLES, NEVER = "variable", "variables", "never"
"""`NEVER` is the observation that cannot be repeated; its subject says why."""
MARK = "_GRADLINT_WORKER"
"""In the environment of a worker and of whatever it starts, with a value of its own: how strays are found."""
WALKED = (".py", ".ipynb", ".md")
"""Endings of the files that a walk of gradlint's own looks at."""
_LARGEST = 64 * 2**20
"""Bytes of a file beyond which its size and time stand for its content."""
_UNLISTED = frozenset([FOLDER, "__pycache__"])
_PACKAGED = (".dist-info", ".egg-info", ".egg-link", ".pth")
_INSTALLED = ("/site-packages", "/dist-packages")
_SUFFIXES = (".py", ".pyc", *_imp.extension_suffixes())

Seen = dict[str, str]


def key_of(what: str, subject: str) -> str:
    """The key of an observation."""
    return f"{what} {subject}"


def is_installed(path: str) -> bool:
    """Whether a path lies where packages are installed; the standard library, too, is spoken for by its version."""
    return any(f"{part}/" in path or path.endswith(part) for part in _INSTALLED)


class Present:
    """What is observed now. Everything is looked at once: a run sees one state of the machine."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """`environment`: as user code is given it."""
        self._environment = environment
        self._known: Seen = {}

    def value(self, key: str) -> str:
        """What is observed under a key."""
        known = self._known.get(key)
        if known is None:
            what, _, subject = key.partition(" ")
            known = self._known[key] = observe(what, subject, self._environment)
        return known

    def holds(self, seen: Mapping[str, str]) -> bool:
        """Whether everything is as it was."""
        return all(self.value(key) == was for key, was in seen.items())


def observe(what: str, subject: str, environment: Mapping[str, str]) -> str:
    """What one observation gives now; what cannot be observed again gives a text that nothing is recorded with."""
    if what == VARIABLE:
        return "unset" if subject not in environment else digest(_bytes(environment[subject]))
    if what == VARIABLES:
        rest = sorted((name, value) for name, value in environment.items() if name != MARK)
        return digest(_bytes(repr(rest)))
    look = _LOOKS.get(what)
    return look(subject) if look is not None else "cannot be repeated"


def digest(data: bytes) -> str:
    """128 bits in hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _kind_of(mode: int) -> str:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "link" if stat.S_ISLNK(mode) else "other"


def kind(path: str) -> str:
    """ "absent", "file", "folder" or "other", links followed; a link that leads nowhere is told from nothing at all."""
    try:
        return _kind_of(os.stat(path).st_mode)
    except (OSError, ValueError):
        return "broken" if os.path.islink(path) else "absent"


def content(path: str) -> str:
    """Digest of a file's bytes; of what is no file, its kind."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return kind(path)
    what = _kind_of(found.st_mode)
    if what != "file":
        return what
    if found.st_size > _LARGEST:
        return status(path)
    try:
        with open(path, "rb", buffering=0) as stream:
            return digest(stream.read())
    except OSError as error:
        return f"unreadable {error.errno}"


def status(path: str) -> str:
    """Kind, size and time of change."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return kind(path)
    return f"{_kind_of(found.st_mode)} {found.st_size} {found.st_mtime_ns}"


def stamp(path: str) -> str:
    """Size and time of an installed file, which nobody changes without changing them."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return "absent"
    what = _kind_of(found.st_mode)
    return f"{found.st_size} {found.st_mtime_ns}" if what == "file" else what


def listing(path: str) -> str:
    """Names and kinds of everything in a folder, less what gradlint and Python themselves put there."""
    return _listed(path, lambda entry: entry.name not in _UNLISTED)


def walk(path: str) -> str:
    """Names and kinds of what a walk of gradlint's own looks at: folders, and files that may hold Python."""
    return _listed(
        path,
        lambda entry: (
            entry.name.endswith(WALKED)
            or (entry.name not in _UNLISTED and not entry.name.startswith(".") and entry.is_dir())
        ),
    )


def packages(path: str) -> str:
    """What is installed in a folder of the import path: names carry the versions; entry points may change under them.

    Of a folder where packages are not installed, only what tells of some counts: it is somebody's own.
    """
    is_whole = is_installed(path)
    names = _names(path)
    if names is None:
        return kind(path)
    kept = [name for name in names if name.endswith(_PACKAGED) or (is_whole and name not in _UNLISTED)]
    told = [f"{name} {stamp(os.path.join(path, name, 'entry_points.txt'))}" for name in kept if "-info" in name]
    return digest(_bytes("\n".join(kept + told)))


def link(path: str) -> str:
    """What is there itself: where a link leads, or the kind of what is none."""
    try:
        mode = os.lstat(path).st_mode
        return digest(os.fsencode(os.readlink(path))) if stat.S_ISLNK(mode) else _kind_of(mode)
    except (OSError, ValueError):
        return "absent"


def module(path: str) -> str:
    """What a module may be imported from; `path` ends in its name."""
    whole = kind(path)
    files = [suffix for suffix in _SUFFIXES if kind(path + suffix) != "absent"]
    return " ".join([whole, kind(f"{path}/__init__.py") if whole == "folder" else "", *files])


def _names(path: str) -> list[str] | None:
    try:
        return sorted(os.listdir(path))
    except OSError:
        return None


def _listed(path: str, counts: Callable[["os.DirEntry[str]"], bool]) -> str:
    try:
        with os.scandir(path) as entries:
            found = sorted(f"{entry.name}\0{_entry(entry)}" for entry in entries if counts(entry))
    except OSError as error:
        return f"unreadable {error.errno}"
    return digest(_bytes("\n".join(found)))


def _entry(entry: "os.DirEntry[str]") -> str:
    if entry.is_symlink():
        return f"link to {kind(entry.path)}"
    return "folder" if entry.is_dir() else "file" if entry.is_file() else "other"


_LOOKS: dict[str, Callable[[str], str]] = {
    CONTENT: content,
    KIND: kind,
    STATUS: status,
    LISTING: listing,
    WALK: walk,
    LINK: link,
    MODULE: module,
    STAMP: stamp,
    PACKAGES: packages,
}
