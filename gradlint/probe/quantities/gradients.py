"""Quantities of the gradient on its way back: over depth, over time, with and without a remedy."""

import math
import statistics

from gradlint.core.finding import Claim, Figures
from gradlint.core.flow import TimeFlow
from gradlint.probe.figures import decades, rms
from gradlint.probe.laboratory import Laboratory
from gradlint.probe.quantities.measured import Measured, scientific, signed, unmeasured
from gradlint.tracing.leaves import is_floating


def attenuation(lab: Laboratory, claim: Claim) -> Measured:
    """Decades of gradient lost between the outputs (or `reference`) and the subject."""
    start = lab.gradient(claim.reference) if claim.reference else lab.output_gradient()
    end = lab.gradient(claim.subject)
    lost = decades(start, end)
    if start is None or end is None or lost is None:
        return unmeasured(f"there is no gradient to compare at {_named(claim.subject)}")
    figures: Figures = {"gradient_rms": end, "output_gradient_rms": start, "attenuation": lost}
    figures.update(_loss_figures(lab, claim))
    return Measured(lost, _gradient_summary(end, lost), figures, "decades")


def growth(lab: Laboratory, claim: Claim) -> Measured:
    """Decades that the gradient gains between the outputs (or `reference`) and the subject."""
    lost = attenuation(lab, claim)
    if lost.value is None:
        return lost
    return Measured(-lost.value, lost.summary, {**lost.figures, "growth": -lost.value}, "decades")


def activation_growth(lab: Laboratory, claim: Claim) -> Measured:
    """Decades that activations gain from `reference` (the floating inputs; else the first module) to the subject."""
    end = lab.activation(claim.subject)
    start = lab.activation(claim.reference) if claim.reference else _input_rms(lab)
    lost = decades(start, end)
    if start is None or end is None or lost is None:
        return unmeasured(f"there is no activation to compare at {_named(claim.subject)}")
    gained = -lost
    summary = f"activations of {scientific(end)} in a real forward pass ({signed(gained)} decades)"
    return Measured(gained, summary, {"activation_rms": end, "reference_rms": start, "growth": gained}, "decades")


def time_loss(lab: Laboratory, claim: Claim) -> Measured:
    """Decades of ∂L/∂h_t lost from the last step to the first."""
    flow = time_flow(lab, claim.subject)
    if flow is None:
        return unmeasured(f"no recurrence was seen at {_named(claim.subject)}")
    broken = sum(not math.isfinite(value) for value in flow.hidden)
    if broken:
        return unmeasured(f"the real gradient is not a finite number at {broken} of {len(flow.hidden)} steps")
    lost = flow.lost
    if len(flow.hidden) == flow.steps and flow.hidden[0] > 0:
        lost = math.log10(flow.hidden[-1]) - math.log10(flow.hidden[0])
    first = flow.hidden[0]
    figures: Figures = {
        "lost": lost,
        "gain_per_step": flow.gain,
        "steps": flow.steps,
        "first_step_gradient_rms": first,
        "last_step_gradient_rms": flow.hidden[-1],
    }
    if flow.inputs:
        figures["first_input_gradient_rms"] = flow.inputs[0]
    summary = (
        f"{scientific(first)} is left of the gradient after {flow.steps - 1} real steps back ({signed(-lost)} decades)"
    )
    return Measured(lost, summary, figures, "decades")


def no_time_gradient(lab: Laboratory, claim: Claim) -> Measured:
    """1.0 where a module is called again and again, and nothing of the last result's gradient reaches the first."""
    calls = lab.first.module(claim.subject).calls
    if calls < 2:
        return unmeasured(f"{_named(claim.subject)} is called only once in a real forward pass")
    flow = time_flow(lab, claim.subject)
    first = flow.hidden[0] if flow is not None else 0.0
    if first > 0:
        return Measured(0.0, f"a gradient of {scientific(first)} reaches the first step", {"gradient_rms": first})
    summary = f"nothing comes back from the last of {calls} real calls to the first"
    return Measured(1.0, summary, {"calls": calls})


def time_growth(lab: Laboratory, claim: Claim) -> Measured:
    """Decades that ∂L/∂h_t gains from the last step to the first."""
    lost = time_loss(lab, claim)
    if lost.value is None:
        return lost
    return Measured(-lost.value, lost.summary, lost.figures, lost.unit)


def with_remedy(lab: Laboratory, claim: Claim) -> Measured:
    """Decades by which the claim's edit brings the subject's gradient closer to that at the outputs."""
    if claim.edit is None:
        return unmeasured("the claim names no remedy to try")
    before, after = list[float](), list[float]()
    for seed in lab.given.seeds[: len(lab.runs)]:
        compared = lab.compared(claim.edit, claim.subject, seed)
        if compared is None:
            return unmeasured(f"the remedy ({claim.edit.text}) cannot be carried out on the recorded graph")
        without, with_it = compared.before.attenuation(claim.subject), compared.after.attenuation(claim.subject)
        if without is None or with_it is None:
            return unmeasured(f"there is no gradient to compare at {_named(claim.subject)}")
        before.append(without)
        after.append(with_it)
    without, with_it = statistics.median(before), statistics.median(after)
    if math.isinf(without) and math.isinf(with_it):
        return unmeasured(f"no gradient is left to compare, neither without nor with {claim.edit.text}")
    won = abs(without) - abs(with_it)
    summary = f"{signed(-without)} decades without, {signed(-with_it)} with {claim.edit.text}, by real backward passes"
    return Measured(won, summary, {"attenuation": without, "with_remedy": with_it, "won": won}, "decades")


def time_flow(lab: Laboratory, subject: str) -> TimeFlow | None:
    """The measured recurrence at a module path, or at the node or module that a node belongs to."""
    by_module = {flow.module: flow for flow in lab.times}
    node = lab.graph.view.nodes.get(subject)
    path: str | None = subject if subject in by_module else (node.module if node is not None else None)
    while path is not None and path not in by_module:
        path = path.rpartition(".")[0] if path else None
    return by_module.get(path) if path is not None else None


def _input_rms(lab: Laboratory) -> float | None:
    floating = [tensor for tensor in lab.inputs if is_floating(tensor)]
    if floating:
        return rms(floating[0])
    return next((lab.activation(call.path) for call in lab.first.calls if call.activation), None)


def _loss_figures(lab: Laboratory, claim: Claim) -> Figures:
    """The same ratio under a real loss, where one can be applied to the outputs."""
    run = lab.loss_run
    if claim.reference or claim.subject not in run.values:
        return {}
    lost = decades(run.output_gradient, run.parameter(claim.subject))
    return {"loss_ratio_decades": lost, "loss": lab.loss.name} if lost is not None else {}


def _gradient_summary(end: float, lost: float) -> str:
    if end == 0:
        return "no gradient at all arrives in a real backward pass"
    return f"{scientific(end)} by a real backward pass ({signed(-lost)} decades)"


def _named(subject: str) -> str:
    return subject or "the model itself"
