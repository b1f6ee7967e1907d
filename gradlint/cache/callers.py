"""Who observes something, as the stack tells it: what an observation is made for decides what of it counts."""

import sysconfig
from types import FrameType

from gradlint.cache.observations import CONTENT, KIND, LISTING, PACKAGES, STATUS, WALK, is_installed

_STANDARD = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib")})
_GO_BETWEENS = frozenset(
    ["genericpath", "posixpath", "pathlib", "pathlib._local", "pathlib._abc", "os", "glob", "shutil"]
)
_KIND_ONLY = frozenset([
    "exists", "lexists", "isfile", "isdir", "islink", "ismount", "is_file", "is_dir", "is_symlink", "is_mount",
    "resolve", "realpath", "_joinrealpath", "absolute", "walk", "_walk", "glob", "rglob", "iglob", "_iglob", "makedirs",
    "mkdir", "is_fifo", "is_socket", "iterdir",
])  # fmt: skip
"""Functions of the go-betweens that ask for no more than whether something is there, and what it is."""
_READERS = ("linecache", "tokenize", "inspect", "importlib", "zipimport", "pkgutil")
"""They ask for the time of a file only in order to read it: its content is observed then."""


def is_standard(path: str) -> bool:
    """Whether a file belongs to the standard library, for which the version of Python speaks."""
    return path.startswith(_STANDARD) and not is_installed(path)


def asked(frame: FrameType | None) -> str:
    """What somebody wants who asks for a file's status: its kind, its content soon, or its size and time.

    Code that asks whether a file is there is about to read it, and not all that reads is seen: libraries in C and Rust
    open files by themselves. So its content is observed at once.
    """
    module, passed = _asker(frame)
    if module is None or module.startswith(_READERS):
        return KIND
    is_kind, is_own = not _KIND_ONLY.isdisjoint(passed), module.startswith("gradlint.")
    return KIND if is_own and is_kind else CONTENT if is_own or is_kind else STATUS


def listing(frame: FrameType | None) -> str | None:
    """What counts of a folder that is listed; None for the import system, whose searches are observed otherwise."""
    asker, _ = _asker(frame)
    name = asker or ""
    if name.startswith(("importlib._bootstrap", "_frozen_importlib")):
        return None
    if name.startswith("importlib.metadata"):
        return PACKAGES
    return WALK if name.startswith(("gradlint.discovery.", "gradlint.engine.")) else LISTING


def _asker(frame: FrameType | None) -> tuple[str | None, list[str]]:
    """The module that asks through the go-betweens, None where there is none, and which of their functions it asks."""
    passed: list[str] = []
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module not in _GO_BETWEENS:
            return module, passed
        passed.append(frame.f_code.co_name)
        frame = frame.f_back
    return None, passed


def importing(frame: FrameType | None) -> dict[str, str]:
    """The modules that are being imported when something is observed, and their files."""
    found: dict[str, str] = {}
    while frame is not None:
        code = frame.f_code
        if code.co_name == "_load_unlocked" and code.co_filename == "<frozen importlib._bootstrap>":
            spec = frame.f_locals.get("spec")
            found[str(getattr(spec, "name", ""))] = str(getattr(spec, "origin", ""))
        frame = frame.f_back
    return found
