"""Which line of the user's code is running: frames outside torch and outside gradlint."""

import itertools
import linecache
import sys
from types import CodeType, FrameType

import torch

from gradlint.core.location import Location

_TORCH = torch.__path__[0] + "/"  # with its slash, or torchvision counts as torch
_GRADLINT = __file__.rsplit("/tracing/", 1)[0] + "/"
_GENERATED = ("<frozen", "<eval_with_key", "<string>", "<__array_function__")

_cache: dict[tuple[str, CodeType, int], Location] = {}
"""Keyed by the file too: code objects of equal text in two files are equal."""


def is_user_code(filename: str) -> bool:
    """Whether a frame of this file belongs to the user (or to a library other than torch) and not to us."""
    return not filename.startswith((_TORCH, _GRADLINT, *_GENERATED))


def user_frames(bottom: CodeType | None = None, limit: int = 24) -> tuple[Location, ...]:
    """Places of all user frames of the current stack, innermost first.

    Args:
        bottom: the walk stops at the frame that runs this code: what lies below is the caller's business.
        limit: at most so many frames.
    """
    found: list[Location] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code is not bottom and len(found) < limit:
        if is_user_code(frame.f_code.co_filename):
            found.append(locate(frame.f_code, frame.f_lasti, frame.f_lineno))
        frame = frame.f_back
    return tuple(found)


def locate(code: CodeType, lasti: int, fallback_line: int) -> Location:
    """Line and columns of one instruction of `code` (columns in characters, from 1)."""
    key = (code.co_filename, code, lasti)
    found = _cache.get(key)
    if found is None:
        if len(_cache) > 50_000:
            _cache.clear()
        found = _cache[key] = _positions(code, lasti, fallback_line)
    return found


def _positions(code: CodeType, lasti: int, fallback_line: int) -> Location:
    line, end_line, start, end = next(itertools.islice(code.co_positions(), lasti // 2, None), (None, None, None, None))
    path, line = code.co_filename, line or fallback_line
    context = code.co_qualname
    if start is None:
        return Location(path, line, context=context)
    column = _characters(path, line, start) + 1
    end_column = _characters(path, line, end) + 1 if end is not None and end_line == line else None
    return Location(path, line, column, end_column, context)


def _characters(path: str, line: int, offset: int) -> int:
    """CPython counts columns in UTF-8 bytes; editors count characters."""
    text = linecache.getline(path, line)
    return offset if text.isascii() else len(text.encode()[:offset].decode(errors="ignore"))


def error_location(error: BaseException) -> Location | None:
    """The innermost user line on an exception's traceback."""
    found: Location | None = None
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if is_user_code(code.co_filename):
            found = locate(code, trace.tb_lasti, trace.tb_lineno)
        trace = trace.tb_next
    return found
