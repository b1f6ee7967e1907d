"""What the text formats share: options, colours, source lines, sentences."""

import io
import linecache
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gradlint.core.finding import Finding, Severity
from gradlint.core.report import Report, SilencedBy, Skipped
from gradlint.core.text import tame
from gradlint.registry import UNANALYSABLE

if TYPE_CHECKING:
    from rich.console import Console


def from_disk(path: str, line: int) -> str:
    """One line of a file, empty where there is none."""
    return linecache.getline(path, line).rstrip("\n")


def remember(path: str, text: str) -> None:
    """Let code frames show a text that lies in no file (standard input)."""
    linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)


@dataclass(frozen=True, slots=True)
class Style:
    """How the text formats render."""

    color: bool = False
    width: int | None = None
    """Columns to wrap notes at; None wraps nothing."""
    verbose: bool = False
    quiet: bool = False
    """Findings only: no summary, no hints, nothing about what was left out."""
    show_skipped: bool = False
    """List every file and model that was left out, files without a model among them."""
    source: Callable[[str, int], str] = from_disk
    """Text of a line of a file, or of a cell of a notebook (`model.ipynb:cell 3`)."""


def console(style: Style, sink: io.StringIO) -> "Console":
    """The rich console that all text goes through."""
    from rich.console import Console

    return Console(
        file=sink,
        force_terminal=style.color,
        no_color=not style.color,
        color_system="standard" if style.color else None,
        width=style.width or 10_000,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=style.width is None,
        legacy_windows=False,
        force_jupyter=False,
    )


def plain(text: str) -> str:
    """Text on one line, without control characters: what a stranger's file says must not steer the terminal."""
    return tame(text.expandtabs(4)).replace("\n", " ")


def sentence(finding: Finding) -> str:
    """What a finding says, on one line, the model's name in front where it does not name it."""
    about = "" if not finding.model or finding.model in finding.message else f"{finding.model}: "
    return plain(f"{about}{finding.message}")


def untold(report: Report) -> tuple[Skipped, ...]:
    """Models and files that were not analysed and that no finding of the report tells of."""
    told = {(f.location.file, f.location.line) for f in report.findings if f.code == UNANALYSABLE[0]}
    return tuple(item for item in report.unanalysed if not item.is_known and (item.file, item.line) not in told)


def count(number: int, noun: str) -> str:
    """`1 model`, `2 models`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def summary_line(report: Report) -> str:
    """`Found 1 error, 1 warning in 1 model (1 file).` or `All clear: 3 models checked.`"""
    parts = [
        count(report.count(severity), noun)
        for severity, noun in ((Severity.ERROR, "error"), (Severity.WARNING, "warning"), (Severity.INFO, "note"))
        if report.count(severity)
    ]
    failed = sum(1 for item in report.unanalysed if item.name)
    models, files = count(len(report.models) + failed, "model"), count(report.files, "file")
    if parts:
        text = f"Found {', '.join(parts)} in {models} ({files})."
    elif report.models and report.baselined:
        text = f"Nothing new in {models} ({files})."
    elif report.models:
        is_whole = not report.unanalysed and not any(model.gap for model in report.models)
        text = f"All clear: {models} checked." if is_whole else f"Nothing found in {models} ({files})."
    elif report.unanalysed:
        text = f"Nothing was analysed ({files})."
    else:
        text = f"No model found ({files})."
    partly = sum(1 for model in report.models if model.gap)
    refuted = len(report.findings) - len(report.standing)
    extra = [f"{refuted} refuted by the probe"] if refuted else []
    extra += [f"{partly} only partly analysed"] if partly else []
    by = Counter(item.by for item in report.suppressed)
    extra += [f"{by[SilencedBy.COMMENT]} silenced by comments"] if by[SilencedBy.COMMENT] else []
    configured = by[SilencedBy.PER_FILE_IGNORES] + by[SilencedBy.OVERRIDE]
    extra += [f"{configured} silenced by the configuration"] if configured else []
    extra += [f"{by[kind]} {kind.words}" for kind in (SilencedBy.BASELINE, SilencedBy.REVISION) if by[kind]]
    return f"{text} ({', '.join(extra)})" if extra else text
