"""Output formats by name."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from gradlint.core.report import Report
from gradlint.report.style import Style

Format = Callable[[Report, Style], str]


def _lazily(name: str) -> Format:
    """The format's function, its file imported when it is first called."""

    def render(report: Report, style: Style) -> str:
        function: Any = getattr(import_module(f"gradlint.report.{name}"), name)
        return str(function(report, style))

    return render


FORMATS: dict[str, Format] = {name: _lazily(name) for name in ("full", "concise", "json")}
