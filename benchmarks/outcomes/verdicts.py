"""What gradlint says of a network before it is trained: severities by optimiser, static and probed, and its figures."""

from dataclasses import asdict
from typing import Any

import torch

import gradlint
from gradlint.core.outlook import OPTIMISERS, Outlook
from outcomes.blueprints import Blueprint
from outcomes.networks import build, example

BATCH = 32
SEVERITIES = ("none", "info", "warning", "error")
SETTINGS: dict[str, dict[str, str]] = {"sgd": {"optimizer": "sgd"}, "adam": {"optimizer": "adam"}, "unknown": {}}


def verdicts(blueprint: Blueprint, *, probe: bool = True) -> dict[str, Any]:
    """As stored: the findings' codes with severities, the worst severity, and the tangent kernel's figures."""
    torch.manual_seed(0)
    model, x = build(blueprint, 0), example(blueprint, BATCH)
    found: dict[str, Any] = {"number": blueprint.number}
    for name, options in SETTINGS.items():
        found[name] = _said(gradlint.check_model(model, (x,), **options))
        if probe:
            found[f"{name}-probed"] = _said(gradlint.check_model(model, (x,), probe=True, **options))
    outlook = gradlint.outlook(model, (x,))
    found["figures"] = figures(outlook) if outlook is not None else {}
    flow = gradlint.flow(model, (x,))
    found["attenuation"] = flow.attenuation
    return found


def figures(outlook: Outlook) -> dict[str, float]:
    """The effort with each optimiser, and what it is made of."""
    return {**{optimiser: outlook.effort(optimiser) for optimiser in OPTIMISERS}, **asdict(outlook)}


def _said(report: Any) -> dict[str, Any]:
    """The worst severity; a refuted finding does not count."""
    counted = report.standing
    worst = max((SEVERITIES.index(str(f.severity)) for f in counted), default=0)
    return {"worst": SEVERITIES[worst], "codes": sorted({f.code for f in counted})}


def level(said: dict[str, Any]) -> int:
    """0 none … 3 error."""
    return SEVERITIES.index(said["worst"])
