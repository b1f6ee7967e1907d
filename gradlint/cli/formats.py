"""Output formats by name."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from gradlint.core.comparison import Comparison
from gradlint.core.report import Report
from gradlint.report.style import Style

Format = Callable[[Report, Style], str]


def _lazily(name: str) -> Format:
    """The format's function, its file imported when it is first called."""

    def render(report: Report, style: Style) -> str:
        python_name = name.replace("-", "_")
        function: Any = getattr(import_module(f"gradlint.report.{python_name}"), python_name)
        return str(function(report, style))

    return render


def _of_a_comparison(module: str) -> Callable[[Comparison, Style], str]:
    def render(comparison: Comparison, style: Style) -> str:
        function: Any = getattr(import_module(f"gradlint.report.{module}"), module)
        return str(function(comparison, style))

    return render


TEXTS = ("full", "concise")
DOCUMENTS = ("json", "json-lines", "sarif", "github", "gitlab", "junit", "markdown")
"""What is read by programs or pages, which must be told also of a run that failed as a whole."""
FORMATS: dict[str, Format] = {name: _lazily(name) for name in (*TEXTS, *DOCUMENTS)}
DIFF_FORMATS = {
    "text": _of_a_comparison("diff"),
    "markdown": _of_a_comparison("diff_markdown"),
    "json": _of_a_comparison("diff_json"),
}
"""Those of `gradlint diff`."""
