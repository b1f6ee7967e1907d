"""The probe over one model's findings: a real forward and backward where the model is real, else the reason why not."""

from typing import TYPE_CHECKING

from gradlint.core.finding import Finding
from gradlint.worker.messages import Settings

if TYPE_CHECKING:
    from gradlint.worker.analysis import Examined


def probe_findings(
    findings: tuple[Finding, ...], examined: "Examined", settings: Settings
) -> tuple[tuple[Finding, ...], str]:
    """Findings with their verdicts, and "yes" or why the model was not probed."""
    return findings, "not yet"
