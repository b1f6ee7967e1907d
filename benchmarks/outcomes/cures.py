"""Remedies carried out for real: the network with the best-ranked one, its gradient, and what training makes of it."""

import math
from dataclasses import replace
from statistics import mean
from typing import Any

import torch

import gradlint
from gradlint.api import Edit, EditKind, Remedy
from outcomes.blueprints import Blueprint
from outcomes.networks import build, example
from outcomes.protocol import examine
from outcomes.verdicts import BATCH

SEEDS = range(8)
WITHIN = 0.3
"""Decades within which the predicted gradient after a remedy counts as come true."""


def cure(blueprint: Blueprint, goals: dict[str, float]) -> dict[str, Any]:
    """Apply the best-ranked remedy that a what-if has predicted, measure it, train it. Empty: there is none."""
    torch.manual_seed(0)
    report = gradlint.check_model(build(blueprint, 0), (example(blueprint, BATCH),))
    remedy = best_remedy([remedy for finding in report.findings for remedy in finding.remedies])
    changed = carried_out(blueprint, remedy.change) if remedy is not None else None
    if changed is None:
        return {"number": blueprint.number, "remedy": ""}
    return {
        "number": blueprint.number,
        "remedy": remedy.edit,
        "predicted": remedy.attenuation,
        "measured": measured_attenuation(changed, blueprint),
        "outcome": examine(changed, goals),
    }


def best_remedy(remedies: list[Remedy]) -> Remedy | None:
    """The first of those with a predicted effect; a finding ranks its remedies."""
    return next((remedy for remedy in remedies if remedy.change is not None and remedy.attenuation is not None), None)


def carried_out(blueprint: Blueprint, edit: Edit) -> Blueprint | None:
    """The network as its author would change it; None where its kind has no such choice."""
    if edit.kind is EditKind.ACTIVATION:
        return replace(blueprint, activation=edit.detail)
    if edit.kind is EditKind.INIT_GAIN:
        return replace(blueprint, init=edit.detail)
    if edit.kind is EditKind.NORM:
        is_plain = blueprint.family in ("mlp", "cnn")
        order = "branch" if is_plain and blueprint.skip != "none" else blueprint.order
        return replace(blueprint, norm=edit.detail.removesuffix("_norm"), order=order)
    if edit.kind is EditKind.SKIP:
        return replace(blueprint, skip="one" if blueprint.family == "transformer" else "two")
    if edit.kind is EditKind.GATED:
        return replace(blueprint, activation=edit.detail)
    return None


def measured_attenuation(changed: Blueprint, before: Blueprint) -> float:
    """Attenuation of the real network in float64: the largest of its modules' geometric means over initialisations.

    Of the modules that had parameters `before`, as it is predicted: a norm that the remedy adds is none of them.
    """
    judged = {name.rpartition(".")[0] for name, _ in build(before, 0).named_parameters()}
    found: dict[str, list[float]] = {}
    for seed in SEEDS:
        x = example(changed, BATCH)
        x = x.double() if x.is_floating_point() else x
        for path, flow in gradlint.measure(build(changed, seed).double(), (x,)).module_flows.items():
            if path in judged:
                found.setdefault(path, []).append(math.inf if flow.attenuation is None else flow.attenuation)
    return max(mean(known) for known in found.values())


def came_true(result: dict[str, Any]) -> bool:
    """Whether the gradient after the remedy is what was predicted."""
    return abs(result["predicted"] - result["measured"]) <= WITHIN
