"""Turn whatever a user's code raises into an AnalysisError that names the user's own line."""

import linecache
from collections import Counter
from itertools import islice
from pathlib import Path
from types import CodeType, TracebackType

import torch

from gradlint.building.built import REAL_AT_MOST, BuiltModel
from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location

_TORCH = str(Path(torch.__file__).parent) + "/"
_VALUES_UNKNOWN = ("GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException")
"""What fake tensors raise where code depends on values; their module is too costly to import for its names."""
_OUT_OF_MEMORY = ("can't allocate memory", "MemoryError", "std::bad_alloc", "not enough memory")
COMPREHENSIONS = ("<listcomp>", "<genexpr>", "<setcomp>", "<dictcomp>")
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
    while tb is not None:
        frame, lasti, line = tb.tb_frame, tb.tb_lasti, tb.tb_lineno
        tb = tb.tb_next
        filename = frame.f_code.co_filename
        if not is_foreign(filename):
            found.append(place_in(frame.f_code, lasti, line))
    return found


def place_in(code: CodeType, instruction: int, line: int) -> Location:
    """The exact expression that an instruction of a code object stands for, with its columns."""
    positions = next(islice(code.co_positions(), instruction // 2, None), (None, None, None, None))
    start_line, end_line, start, end = positions
    line = start_line or line
    column = character_column(code.co_filename, line, start) or 1
    last = character_column(code.co_filename, line, end) if end_line == line else None
    return Location(code.co_filename, line, column, last, context_of(code))


def context_of(code: CodeType) -> str:
    """`SigmoidMLP.__init__`, for a comprehension in it too; empty at module level."""
    name = code.co_qualname.replace("<locals>.", "")
    for part in (*COMPREHENSIONS, "<lambda>", "<module>"):
        name = name.removesuffix(part).removesuffix(".")
    return name


def describe(error: BaseException) -> str:
    """One line that says what was raised, and the innermost error that it was raised from."""
    root = _root(error)
    return _one(error) if root is error else f"{_one(error)} (caused by {_one(root)})"


def _root(error: BaseException) -> BaseException:
    """The first of a chain of `raise … from …`."""
    seen = {id(error)}
    while error.__cause__ is not None and id(error.__cause__) not in seen:
        error = error.__cause__
        seen.add(id(error))
    return error


def _one(error: BaseException) -> str:
    text = " ".join(text_of(error).split())
    if isinstance(error, SystemExit):
        return f"it called sys.exit({'' if error.code is None else repr(error.code)})"
    if isinstance(error, RecursionError):
        return "RecursionError: it calls itself without end"
    if len(text) > 400:
        text = text[:400] + " …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def text_of(error: BaseException) -> str:
    """What an exception says of itself."""
    try:
        return str(error)
    except BaseException as another:  # noqa: BLE001 (an exception's own `__str__` is a stranger's code too)
        return f"(its text cannot be had: {type(another).__name__})"


def values_needed(error: BaseException | None, built: BuiltModel) -> bool:
    """Whether a forward pass has failed because it depends on values, of a model that could be built with them."""
    chain: list[BaseException] = []
    while error is not None and error not in chain:
        chain.append(error)
        error = error.__cause__ or error.__context__
    unknown = any(type(link).__name__ in _VALUES_UNKNOWN for link in chain)
    small = sum(parameter.numel() for parameter in built.model.parameters()) <= REAL_AT_MOST
    return built.fake_mode is not None and unknown and small


def lacks_memory(error: AnalysisError) -> bool:
    """Whether something failed because an allocation did."""
    return any(sign in error.message for sign in _OUT_OF_MEMORY)


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
