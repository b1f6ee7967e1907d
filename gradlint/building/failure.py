"""Turn whatever a user's code raises into an AnalysisError that names the user's own line."""

import linecache
import traceback
from collections import Counter
from pathlib import Path
from types import TracebackType

import torch

from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location

_TORCH = str(Path(torch.__file__).parent) + "/"
_GRADLINT = str(Path(__file__).resolve().parent.parent) + "/"


def is_foreign(filename: str) -> bool:
    """Whether a code object's file belongs to torch, to gradlint or to no file at all."""
    return filename.startswith((_TORCH, _GRADLINT, "<"))


def character_column(filename: str, line: int, offset: int | None) -> int | None:
    """Column counted from 1 in characters, from a UTF-8 byte offset counted from 0."""
    if offset is None:
        return None
    text = linecache.getline(filename, line)
    return len(text.encode()[:offset].decode(errors="ignore")) + 1 if not text.isascii() else offset + 1


def raised_at(error: BaseException, path: str) -> Location | None:
    """The innermost line of the checked file that an exception passed through, else of any code outside torch."""
    places = list(_places(error.__traceback__))
    own = [place for place in places if place.path == path]
    best = own or places
    if isinstance(error, RecursionError) and best:
        return Counter(best).most_common(1)[0][0]  # where it calls itself, not where the stack happened to end
    return best[-1] if best else None


def _places(tb: TracebackType | None) -> list[Location]:
    found = []
    for frame, line in traceback.walk_tb(tb):
        filename = frame.f_code.co_filename
        if not is_foreign(filename):
            name = frame.f_code.co_qualname.replace("<locals>.", "")
            found.append(Location(filename, line, context="" if name == "<module>" else name))
    return found


def describe(error: BaseException) -> str:
    """One line that says what was raised."""
    text = " ".join(str(error).split())
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    if isinstance(error, RecursionError):
        return "RecursionError: it calls itself without end"
    if len(text) > 400:
        text = text[:400] + " …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def analysis_error(
    error: BaseException, *, stage: str, doing: str, path: str, fallback: Location | None = None, remedy: str = ""
) -> AnalysisError:
    """Wrap an exception of the user's code. KeyboardInterrupt is not wrapped but raised on.

    Args:
        error: what was raised.
        stage: "import", "build" or "feed".
        doing: what gradlint was at, as the subject of the sentence ("building Net").
        path: the checked file, whose own lines are preferred.
        fallback: the place to name where the exception passed through no line of the user's.
        remedy: the line that would help.
    """
    if isinstance(error, KeyboardInterrupt):
        raise error
    if isinstance(error, AnalysisError):
        return error
    location = raised_at(error, path) or fallback
    return AnalysisError(f"{doing} failed: {describe(error)}", stage=stage, location=location, remedy=remedy)
