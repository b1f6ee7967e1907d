"""From paths and settings, or a live model, to a report. Importing this imports no torch."""

from gradlint.engine.dependents import with_dependents
from gradlint.engine.live import check_model, flow, measure, outlook, tangents, what_if
from gradlint.engine.run import Progress, check, tabulate

__all__ = [
    "Progress",
    "check",
    "check_model",
    "flow",
    "measure",
    "outlook",
    "tabulate",
    "tangents",
    "what_if",
    "with_dependents",
]
