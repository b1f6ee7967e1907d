"""What parent and worker say to each other: length-prefixed JSON over file descriptors of their own."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from gradlint.core.finding import Finding, Severity
from gradlint.core.report import ModelSummary, Skipped
from gradlint.core.table import FlowTable
from gradlint.core.target import Target

HEADER = struct.Struct(">I")
LARGEST_MESSAGE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """What the pipeline needs to know of the configuration."""

    codes: tuple[str, ...]
    """Codes of the rules to run."""
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rule options by rule name."""
    probe: bool = False
    severities: dict[str, Severity] = field(default_factory=dict)
    """What the configuration makes of rules, by code; a cause is still as severe as the worst that follows from it."""
    memory: int = 4 * 2**30
    """Bytes that one model may take."""


@dataclass(frozen=True, slots=True)
class TargetResult:
    """What came of one target: findings and a summary, or why there is none."""

    findings: tuple[Finding, ...] = ()
    summary: ModelSummary | None = None
    skipped: tuple[Skipped, ...] = ()
    contains: tuple[str, ...] = ()
    """Names of the classes of the checked file that the built model is made of, its own left out."""


def unprobed(findings: Iterable[Finding], why_not: str) -> tuple[tuple[Finding, ...], str]:
    """Findings that a probe could have judged, with the reason why none did; and that reason for the model."""
    said = f"not probed: {why_not}"
    judged = tuple(finding if finding.claim is None else replace(finding, verdict_reason=said) for finding in findings)
    return judged, f"no: {why_not}"


class Analyse(msgspec.Struct, frozen=True, tag="analyse"):
    """Check one target. `source` is the file's text as the parent read it; the answer repeats `number`."""

    target: Target
    source: str
    settings: Settings
    number: int = 0
    folder: str = ""
    """Where the code runs; empty: where the worker was started."""
    is_recorded: bool = False
    """Whether the answer shall say what it was made from."""


class Tabulate(msgspec.Struct, frozen=True, tag="tabulate"):
    """Give the flow of one target as a table, with a real backward pass beside it where `measured`."""

    target: Target
    source: str
    settings: Settings
    measured: bool = False
    number: int = 0


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has imported torch and waits."""

    torch: str


class Stage(msgspec.Struct, frozen=True, tag="stage"):
    """The stage that the worker enters now, so that a death can be told precisely."""

    name: str


class Result(msgspec.Struct, frozen=True, tag="result"):
    """Answer to `Analyse`."""

    result: TargetResult
    number: int = 0
    seen: dict[str, str] | None = None
    """What was observed on the way, where that was asked for: `gradlint.cache.observations`."""
    base: dict[str, str] | None = None
    """The same of the worker itself: what it had loaded before it looked at any file. It is sent once."""


class Table(msgspec.Struct, frozen=True, tag="table"):
    """Answer to `Tabulate`."""

    table: FlowTable | None
    skipped: tuple[Skipped, ...] = ()
    number: int = 0


Request = Analyse | Tabulate
Message = Ready | Stage | Result | Table

_requests = msgspec.json.Decoder(Request)
_messages = msgspec.json.Decoder(Message)


def encode(message: Request | Message) -> bytes:
    """One message with its length in front."""
    try:
        body = msgspec.json.encode(message)
    except UnicodeEncodeError:  # a user's error message may hold half a surrogate pair
        body = msgspec.json.encode(_encodable(msgspec.to_builtins(message)))
    return HEADER.pack(len(body)) + body


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list | tuple):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    return value


def decode_request(body: bytes) -> Request:
    """A request, validated field by field."""
    request: Request = _requests.decode(body)
    return request


def decode_message(body: bytes) -> Message:
    """An answer, validated field by field; raises msgspec.MsgspecError where it is anything else."""
    message: Message = _messages.decode(body)
    return message
