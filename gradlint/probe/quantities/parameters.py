"""Quantities of parameters: gradients that never come, rows that stay alike, instances that are shared."""

import torch

from gradlint.core.finding import Claim
from gradlint.probe.laboratory import Laboratory
from gradlint.probe.quantities.measured import Measured, scientific, unmeasured
from gradlint.probe.run import Run

_ALIKE = 1e-4
"""Rows whose gradients differ by no more than this share of the largest gradient are equal up to rounding."""


def no_gradient(lab: Laboratory, claim: Claim) -> Measured:
    """1.0 where autograd gives nothing for any of the parameters, neither now nor after a step of all others."""
    names = _subjects(lab, claim)
    if not names:
        return unmeasured(f"the model has no parameter {claim.subject}")
    run = lab.first
    absent = [name for name in names if run.parameter_gradients[name] is None]
    if len(absent) == len(names):
        summary = f"grad is None for {_counted(names)} after a real backward pass"
        return Measured(1.0, summary, {"parameters": len(names), "grad_is_none": len(absent)})
    alive = _alive(run, names)
    when = "in a real backward pass"
    if alive is None:
        alive, when = _alive(lab.stepped, names), "after one gradient step"
    if alive is not None:
        name, gradient = alive
        return Measured(0.0, f"a gradient of {scientific(gradient)} reaches {name} {when}", {"gradient_rms": gradient})
    summary = f"the gradient of {_counted(names)} is exactly zero, and still is after one step"
    return Measured(1.0, summary, {"parameters": len(names), "grad_is_none": len(absent)})


def equal_rows(lab: Laboratory, claim: Claim) -> Measured:
    """1.0 where all rows of each parameter get the same gradient, now and after a step."""
    names = _subjects(lab, claim)
    if not names:
        return unmeasured(f"the model has no parameter {claim.subject}")
    for run, when in ((lab.first, "in a real backward pass"), (lab.stepped, "after one gradient step")):
        for name in names:
            spread = _spread(run.gradients.get(name))
            if spread > _ALIKE:
                summary = f"the rows of {name} get gradients that differ by {100 * spread:.2g} % {when}"
                return Measured(0.0, summary, {"row_spread": spread})
    return Measured(
        1.0,
        f"all rows of {_counted(names)} get equal gradients, and still do after one step",
        {"row_spread": max(_spread(lab.stepped.gradients.get(name)) for name in names), "parameters": len(names)},
    )


def shared_instance(lab: Laboratory, claim: Claim) -> Measured:
    """Number of calls of one and the same instance in one forward pass; 1 where the subjects are several instances."""
    modules = dict(lab.graph.model.named_modules(remove_duplicate=False))
    paths = claim.subjects or (claim.subject,)
    if any(path not in modules for path in (*paths, claim.subject)):
        return unmeasured(f"the model has no module {claim.subject}")
    instances = {id(modules[path]) for path in paths}
    if len(instances) > 1:
        return Measured(1.0, f"{len(instances)} different instances stand there", {"instances": len(instances)})
    calls = lab.first.module(claim.subject).calls
    times = "once" if calls == 1 else f"{calls} times"
    return Measured(float(calls), f"one instance, called {times} in a real forward pass", {"calls": calls})


def unregistered(lab: Laboratory, claim: Claim) -> Measured:
    """Number of the tensors that get a gradient in a real backward pass and are no parameters of the model."""
    learning = [name for name in claim.subjects if lab.first.strays.get(name, 0.0) > 0]
    summary = f"a real backward pass gives {len(learning)} of {len(claim.subjects)} tensors a gradient"
    if learning:
        summary += ", and model.parameters() has none of them"
    return Measured(float(len(learning)), summary, {"tensors": len(claim.subjects), "learning": len(learning)})


def _subjects(lab: Laboratory, claim: Claim) -> list[str]:
    """The parameters meant: by name, or all of a module."""
    known = lab.first.values
    found: dict[str, None] = {}
    for subject in claim.subjects or (claim.subject,):
        inside = [name for name in known if name == subject or name.startswith(f"{subject}.")]
        found.update(dict.fromkeys(inside))
    return list(found)


def _alive(run: Run, names: list[str]) -> tuple[str, float] | None:
    return next(((name, run.parameter(name)) for name in names if run.parameter(name) > 0), None)


def _spread(gradient: torch.Tensor | None) -> float:
    """Largest deviation of a row from the mean row, relative to the largest element; 0 for no gradient at all."""
    if gradient is None or gradient.dim() == 0 or gradient.shape[0] < 2:
        return 0.0
    dense = gradient.to_dense().double()
    largest = float(dense.abs().max())
    return float((dense - dense.mean(0, keepdim=True)).abs().max()) / largest if largest > 0 else 0.0


def _counted(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} parameters ({names[0]} …)"
