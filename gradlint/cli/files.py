"""Files that reports are written to: checked before a run, and never left half written."""

import os
import secrets
import shutil
from pathlib import Path

from gradlint.core.errors import UsageError


def prepare(path: str) -> None:
    """Make the folder that a report goes to and see that it can be written; a run of minutes must not end in vain.

    Raises:
        UsageError: a folder in the file's place, a file in the folder's, or no permission.
    """
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        is_folder, is_there = target.is_dir(), target.exists()
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if is_folder:
        raise UsageError(f"cannot write {path}: it is a folder", remedy="name a file in it")
    if not os.access(target if is_there else target.parent, os.W_OK):
        raise UsageError(f"cannot write {path}: no permission")


def save(text: str, path: str) -> None:
    """Write beside the file and put that in its place, so that nobody ever reads half of it.

    What is no regular file (a pipe, `/dev/stdout`), or lies in a folder that takes no other, is written where it is; a
    link stays a link.
    """
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        if _is_special(target) or not os.access(target.parent, os.W_OK):
            target.write_text(text, encoding="utf-8")
        else:
            _replace(target, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def append(text: str, path: str) -> None:
    """Write behind what a file already holds."""
    try:
        with Path(path).open("a", encoding="utf-8") as sink:
            sink.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _target(path: str) -> Path:
    """The file that a path stands for, links followed; what is no regular file is left as it was named."""
    return Path(path) if _is_special(Path(path)) else Path(os.path.realpath(path))


def _is_special(path: Path) -> bool:
    """A pipe, a device, or a name of a stream: `/dev/stdout` may be a regular file, which others have open."""
    is_stream = str(path.parent) in ("/dev", "/dev/fd", "/proc/self/fd")
    return is_stream or (path.exists() and not path.is_file())


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8") as sink:
            sink.write(text)
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
