"""The probe over one model's findings: real passes where there is a real model, else the reason why not."""

from typing import TYPE_CHECKING

from gradlint.core.finding import Finding
from gradlint.worker.messages import Settings, unprobed

if TYPE_CHECKING:
    from gradlint.worker.analysis import Examined

_COPIES = 8
"""A probed model needs its parameters, their gradients, activations and those of edited copies, as a rough multiple."""


def probe_findings(
    findings: tuple[Finding, ...], examined: "Examined", settings: Settings
) -> tuple[tuple[Finding, ...], str]:
    """Findings with their verdicts, and "yes" or why the model was not probed."""
    from gradlint import probe

    given = probe.ProbeInput(
        graph=examined.graph,
        built=examined.built,
        fed=examined.fed,
        flow=examined.flow,
        losses=examined.scan.losses if examined.scan is not None else (),
    )
    why_not = given.obstacle or _too_large(examined, settings)
    if why_not:
        return unprobed(findings, why_not)
    return probe.judge(findings, given), "yes"


def _too_large(examined: "Examined", settings: Settings) -> str:
    taken = sum(p.numel() * p.element_size() for p in examined.built.model.parameters())
    if taken * _COPIES <= settings.memory:
        return ""
    return f"a real pass could need more than {settings.memory / 2**30:g} GiB of memory (--memory)"
