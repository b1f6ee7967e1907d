"""The shape that all findings about starved and exploding paths share."""

import math
from collections.abc import Iterable

from gradlint.api import Cause, Claim, Edit, Finding, Rule, RuleContext, Severity
from gradlint_rules._diagnosis import Diagnosis
from gradlint_rules._figures import Layer
from gradlint_rules._outlook import severity_of
from gradlint_rules._remedies import tried
from gradlint_rules._wording import change, gradient_summary, sites_of
from gradlint_rules.thresholds import DIVERGES


def flow_finding(
    rule: Rule,
    ctx: RuleContext,
    diagnosis: Diagnosis,
    *,
    message: str,
    label: str,
    cause: Cause,
    edits: Iterable[Edit] = (),
    pointed: tuple[str, ...] = (),
    extra: dict[str, float | int | str] | None = None,
) -> Finding:
    """A finding about a chain: plain words, the gradient from the output to the worst layer, remedies, a claim.

    Args:
        rule: the rule that reports it.
        ctx: what is known of the model.
        diagnosis: the chain and its trouble.
        message: plain words.
        label: what stands under the primary line.
        cause: family of the cause.
        edits: remedies to try.
        pointed: nodes whose line is the primary one; those blamed where empty.
        extra: further figures.
    """
    figures, starved = diagnosis.figures, diagnosis.starved
    layer, reference = _worst(diagnosis)
    attenuation = -change(ctx, layer.parameter, reference)
    errs = diagnosis.decades >= DIVERGES if not starved else False
    nodes = pointed or diagnosis.blamed or (layer.node,)
    return Finding(
        code=rule.code,
        name=rule.name,
        severity=Severity.ERROR if errs else severity_of(ctx),
        message=message,
        sites=sites_of(ctx, nodes, label),
        module=ctx.graph.nodes[nodes[0]].module,
        cause=cause,
        predicted={
            "summary": gradient_summary(ctx, layer.parameter, reference),
            "attenuation": attenuation if math.isfinite(attenuation) else None,
            "decades": diagnosis.decades,
            "to": layer.parameter,
            **(extra or {}),
        },
        remedies=tried(ctx, diagnosis.bones, figures, edits),
        attributed=diagnosis.blamed,
        claim=_claim(ctx, diagnosis, layer.parameter, reference, attenuation),
    )


def extent(ctx: RuleContext, diagnosis: Diagnosis) -> float:
    """Decades by which the gradient falls or grows up to the worst layer, as the summary gives them.

    Where the trouble is not the gradient but the scale of what it meets, the distance from a healthy layer.
    """
    layer, reference = _worst(diagnosis)
    moved = change(ctx, layer.parameter, reference) * (-1.0 if diagnosis.starved else 1.0)
    return moved if math.isfinite(moved) and moved >= diagnosis.decades / 2 else diagnosis.decades


def _worst(diagnosis: Diagnosis) -> tuple[Layer, str]:
    """The layer that suffers most, and the parameter beside which it does (empty: the output)."""
    figures = diagnosis.figures
    layer = figures.hungriest if diagnosis.starved else figures.loudest
    assert layer is not None  # a chain without layers is never in trouble
    richer = figures.richer if diagnosis.starved else None
    return layer, richer.parameter if richer is not None else ""


def _claim(ctx: RuleContext, diagnosis: Diagnosis, parameter: str, reference: str, attenuation: float) -> Claim:
    """Where a remedy is the proof, the gradient with and without it; else the gradient, halfway to a healthy one."""
    flow = ctx.what_if(diagnosis.cure) if diagnosis.cure is not None else None
    left = flow.parameter_flows.get(parameter) if flow is not None else None
    if flow is not None and left is not None and left.gradient_rms and not reference and math.isfinite(attenuation):
        won = abs(attenuation) - abs(math.log10(left.gradient_rms / flow.output_gradient_rms))
        if won >= 1.0:
            return Claim("with-remedy", parameter, predicted=won, threshold=won / 2, edit=diagnosis.cure)
    kind, value = ("attenuation", attenuation) if diagnosis.starved else ("growth", -attenuation)
    return Claim(kind, parameter, reference, predicted=value, threshold=value - diagnosis.decades / 2)
