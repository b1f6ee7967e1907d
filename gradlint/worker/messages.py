"""What parent and worker say to each other: length-prefixed JSON over file descriptors of their own."""

import struct
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gradlint.core.finding import Finding
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


class Analyse(msgspec.Struct, frozen=True, tag="analyse"):
    """Check one target. `source` is the file's text as the parent read it."""

    target: Target
    source: str
    settings: Settings


class Tabulate(msgspec.Struct, frozen=True, tag="tabulate"):
    """Give the flow of one target as a table, with a real backward pass beside it where `measured`."""

    target: Target
    source: str
    settings: Settings
    measured: bool = False


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """The worker has imported torch and waits."""

    torch: str


class Stage(msgspec.Struct, frozen=True, tag="stage"):
    """The stage that the worker enters now, so that a death can be told precisely."""

    name: str


class Result(msgspec.Struct, frozen=True, tag="result"):
    """Answer to `Analyse`."""

    result: TargetResult


class Table(msgspec.Struct, frozen=True, tag="table"):
    """Answer to `Tabulate`."""

    table: FlowTable | None
    skipped: tuple[Skipped, ...] = ()


Request = Analyse | Tabulate
Message = Ready | Stage | Result | Table

_requests = msgspec.json.Decoder(Request)
_messages = msgspec.json.Decoder(Message)


def encode(message: Request | Message) -> bytes:
    """One message with its length in front."""
    body = msgspec.json.encode(message)
    return HEADER.pack(len(body)) + body


def decode_request(body: bytes) -> Request:
    """A request, validated field by field."""
    request: Request = _requests.decode(body)
    return request


def decode_message(body: bytes) -> Message:
    """An answer, validated field by field; raises msgspec.MsgspecError where it is anything else."""
    message: Message = _messages.decode(body)
    return message
