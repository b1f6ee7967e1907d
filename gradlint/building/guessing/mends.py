"""What the failure of a guess says about a better one."""

import linecache
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gradlint.building.failure import is_foreign, text_of
from gradlint.building.guessing.objects import Deferred
from gradlint.building.missed import missed, operands

_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)")
_ONLY_LISTS = re.compile(r"'tuple' object has no attribute|can only concatenate (list|tuple) \(not \"(list|tuple)\"\)"
                         r"|'tuple' object does not support item assignment")  # fmt: skip
_NOT_MANY = re.compile(r"'(int|float)' object is not (subscriptable|iterable)|object of type '(int|float)' has no len")
_NOT_ONE = re.compile(r"unsupported operand type\(s\) for .*: '(int|float|tuple|list)' and '(int|float|tuple|list)'"
                      r"|'(tuple|list)' object cannot be interpreted as an integer")  # fmt: skip
_MUST_BE = re.compile(r"(?:must|should|has to|needs to) be (?:an? )?(tuple|list)\b", re.IGNORECASE)
_NOTHING = re.compile(r"NoneType|\bNone\b|not None|must be (set|specified|provided|given|defined|passed)")
_UNPACKED = re.compile(r"values to unpack \(expected (\d+)")
_OF_LENGTH = re.compile(r"\b(?:tuple|list|sequence|length|len)\b(?: of| must be| should be)?(?: length)? (\d{1,2})\b")
_BEYOND = re.compile(r"(tuple|list) index out of range")
_ITERATED = re.compile(
    r"\b(?:len|zip|enumerate|iter|tuple|list|sum|max|min|reversed)\((\w+)|\b(\w+)\[|\bin (\w+)|\*(\w+)"
)
_STAGES = 4


def said_by(error: BaseException) -> frozenset[str]:
    """Words of an error's text."""
    return frozenset(re.findall(r"[A-Za-z_]\w*", text_of(error)))


def named_by(error: BaseException) -> frozenset[str]:
    """Names that an error is about: in its text, in the line of a constructor that raised it, and those of what was
    None in the expression that did, however many lines that takes."""
    words = set(said_by(error)) | (set(missed(error)) if is_about_nothing(error) else set())
    last, tb = None, error.__traceback__
    while tb is not None:
        last, tb = tb, tb.tb_next
        code = last.tb_frame.f_code
        if code.co_name == "__init__":
            words |= set(re.findall(r"[A-Za-z_]\w*", linecache.getline(code.co_filename, last.tb_lineno)))
    return frozenset(words)


def _iterated(error: BaseException) -> frozenset[str]:
    """Names that the line which raised treats as several things: `len(depths)`, `for d in depths`."""
    return frozenset(name for found in _ITERATED.findall(_last_line(error)) for name in found if name)


def _last_line(error: BaseException) -> str:
    """The line of the user's code that raised."""
    line, tb = "", error.__traceback__
    while tb is not None:
        name = tb.tb_frame.f_code.co_filename
        line = line if is_foreign(name) else linecache.getline(name, tb.tb_lineno)
        tb = tb.tb_next
    return line


def missing_names(error: BaseException) -> list[str]:
    """Arguments that something further in asked for in vain: of a constructor that hands on its keywords."""
    found = _MISSING.search(text_of(error))
    if found is not None:
        return re.findall(r"'(\w+)'", found[1])
    quoted = re.findall(r"`(\w+)`", text_of(error)) if is_about_nothing(error) else []
    if quoted:
        return quoted
    is_key = isinstance(error, KeyError) and len(error.args) == 1 and str(error.args[0]).isidentifier()
    return [str(error.args[0])] if is_key else []


def is_about_nothing(error: BaseException) -> bool:
    """Whether something was None that should not have been."""
    return _NOTHING.search(text_of(error)) is not None


def reshaped(kwargs: Mapping[str, Any], error: BaseException) -> Iterator[dict[str, Any]]:
    """The same values as lists, several of what was one, or one of what was several."""
    text = text_of(error)
    if _ONLY_LISTS.search(text):
        yield {name: list(value) if type(value) is tuple else value for name, value in kwargs.items()}
    if _NOT_MANY.search(text):
        words = _iterated(error) & kwargs.keys() or named_by(error)
        for length in (_STAGES, 2, 3):
            yield {n: (v,) * length if n in words and type(v) in (int, float) else v for n, v in kwargs.items()}
    if _NOT_ONE.search(text):
        words = operands(error)
        yield {n: v[0] if type(v) in (list, tuple) and v and n in words else v for n, v in kwargs.items()}
    if must := _MUST_BE.search(text):
        several = list if must[1].lower() == "list" else tuple
        for length in (2, _STAGES, 3):
            yield {n: several((v,) * length) if n in said_by(error) and type(v) in (int, float) else v
                   for n, v in kwargs.items()}  # fmt: skip
    yield from _resized(kwargs, text)
    if unpacked := _UNPACKED.search(text):
        words, length = frozenset(re.findall(r"\w+", _last_line(error))), int(unpacked[1])
        yield {n: type(v)(_continued(v, length)) if n in words and type(v) in (list, tuple) else v
               for n, v in kwargs.items()}  # fmt: skip
    if isinstance(error, IndexError) and _BEYOND.search(text):
        yield from _longer(kwargs, operands(error) & kwargs.keys())
    choices = re.findall(r"['\"`](\w[\w.-]*)['\"`]", text)
    for name, value in kwargs.items():
        if isinstance(value, str) or (isinstance(value, type | Deferred) and name in said_by(error)):
            yield from ({**kwargs, name: choice} for choice in choices if choice not in (value, name))


def _longer(kwargs: Mapping[str, Any], named: frozenset[str]) -> Iterator[dict[str, Any]]:
    """The lists that an index ran out of (where none is named all of them in turn) with more entries: one more than
    another list has, as many; one more than now, twice as many, four times as many."""
    lists = {name: value for name, value in kwargs.items() if type(value) in (list, tuple) and value}
    for name in named or lists:
        value = lists.get(name, ())
        others = sorted({len(v) for n, v in lists.items() if n != name}, reverse=True)
        lengths = [length for other in others for length in (other + 1, other)]
        lengths += [len(value) + 1, 2 * len(value), 4 * len(value)]
        for length in dict.fromkeys(length for length in lengths if length > len(value) > 0):
            yield {**kwargs, name: type(value)(_continued(value, length))}


def _resized(kwargs: Mapping[str, Any], text: str) -> Iterator[dict[str, Any]]:
    """A list with as many entries as an error that names it says: "depth is 5, but `widths` are given for 4 blocks"."""
    said = [int(number) for number in re.findall(r"(?<![\w.])\d{1,2}(?![\w.]*\d)", text)]
    asked = [int(length) for length in _OF_LENGTH.findall(text)]
    for name, value in kwargs.items():
        if type(value) not in (list, tuple) or not (len(value) in said or asked) or not re.search(rf"\b{name}\b", text):
            continue
        for length in (number for number in asked or said if 0 < number != len(value)):
            yield {**kwargs, name: type(value)(_continued(value, length))}


def _continued(values: Sequence[Any], length: int) -> list[Any]:
    """A list made shorter, or longer in the way it grows."""
    longer = list(values[:length])
    while len(longer) < length:
        doubles = len(longer) > 1 and type(longer[-1]) is int and longer[-1] == 2 * longer[-2]
        longer.append(2 * longer[-1] if doubles else longer[-1])
    return longer
