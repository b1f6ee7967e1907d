"""docs/truth.md's tables: verdicts beside outcomes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from common import table

from outcomes.blueprints import Blueprint
from outcomes.cures import WITHIN, came_true
from outcomes.labels import Label
from outcomes.scores import Share, auroc, precision, rank_correlation, recall
from outcomes.verdicts import SETTINGS, level

ERROR, WARNING = 3, 2


@dataclass(frozen=True, slots=True)
class Case:
    """One network: what became of it, and what was said of it."""

    blueprint: Blueprint
    labels: dict[str, Label | None]
    gains: dict[str, float]
    said: dict[str, Any]


def verdict_table(cases: Sequence[Case], *, probed: bool) -> str:
    """Precision and recall of `error` against *does not train*, and of a warning or more against *handicapped*."""
    header = ("optimiser", "networks", "severity", "against", "precision", "recall")
    rows = []
    for setting in SETTINGS:
        known = [case for case in cases if case.labels[setting] is not None]
        said = [level(case.said[f"{setting}-probed" if probed else setting]) for case in known]
        for least, against, is_bad in _QUESTIONS:
            truth = [is_bad(case.labels[setting]) for case in known]
            flags = [value >= least for value in said]
            what = "error" if least == ERROR else "warning or error"
            rows.append(
                (setting, str(len(known)), what, against, str(precision(flags, truth)), str(recall(flags, truth)))
            )
    return table(header, rows)


def merit_table(cases: Sequence[Case]) -> str:
    """How well figures rank networks: by whether they train, are handicapped, and by their gain after 300 steps."""
    asked = ("AUROC, does not train", "AUROC, handicapped", "Spearman ρ with the gain")
    header = ("optimiser", "figure", "networks", *asked)
    rows = []
    for optimiser in ("sgd", "adam"):
        known = [case for case in cases if case.labels[optimiser] is not None]
        fails = [case.labels[optimiser] is Label.FAILS for case in known]
        slow = [case.labels[optimiser] is not Label.TRAINS for case in known]
        gains = [case.gains[optimiser] for case in known]
        for name, figure in _FIGURES.items():
            values = [figure(case, optimiser) for case in known]
            rows.append(
                (
                    optimiser, name, str(len(known)),
                    f"{auroc(values, fails):.3f}", f"{auroc(values, slow):.3f}",
                    f"{rank_correlation(values, gains):+.2f}",
                )
            )  # fmt: skip
    return table(header, rows)


def cure_table(cured: Sequence[tuple[dict[str, Any], dict[str, Label | None]]]) -> str:
    """How often the gradient after the best-ranked remedy was as predicted, and how often the network then trained."""
    header = ("remedies", f"gradient within {WITHIN} decades of the prediction", "trains", "with SGD", "with Adam")
    if not cured:
        return "None yet.\n"
    true = Share(sum(came_true(found) for found, _ in cured), len(cured))
    rows = [(str(len(cured)), str(true), *(str(_trained(cured, setting)) for setting in ("unknown", "sgd", "adam")))]
    return table(header, rows)


def _trained(cured: Sequence[tuple[dict[str, Any], dict[str, Label | None]]], setting: str) -> Share:
    known = [label for _, outcome in cured if (label := outcome[setting]) is not None]
    return Share(sum(label is not Label.FAILS for label in known), len(known))


def mistakes(cases: Sequence[Case], setting: str) -> str:
    """Networks whose verdict and outcome disagree most."""
    header = ("network", "outcome", "said", "gain", "effort")
    rows = []
    for case in cases:
        label, said = case.labels[setting], case.said[setting]
        fails = label is Label.FAILS
        if label is not None and (level(said) == ERROR) != fails:
            optimiser = setting if setting != "unknown" else "adam"
            rows.append(
                (
                    describe(case.blueprint), label.value, " ".join((said["worst"], *said["codes"])),
                    f"{case.gains[optimiser]:.2f}", f"{case.said['figures'].get(optimiser, float('nan')):.1f}",
                )
            )  # fmt: skip
    return table(header, rows) if rows else "None.\n"


def describe(b: Blueprint) -> str:
    """A network in a line."""
    size = f"{b.depth}×{b.width}" + (f"×{b.steps} steps" if b.steps else "")
    rest = [b.activation, *(value for value in (b.norm, b.skip) if value != "none"), f"{b.init} init"]
    return f"{b.number}: {b.family} {size}, {', '.join(rest)}" + (f", {b.order}" if b.family == "transformer" else "")


_QUESTIONS: tuple[tuple[int, str, Callable[[Label | None], bool]], ...] = (
    (ERROR, "does not train", lambda label: label is Label.FAILS),
    (WARNING, "does not train or handicapped", lambda label: label is not Label.TRAINS),
)
_FIGURES: dict[str, Callable[[Case, str], float]] = {
    "predicted effort": lambda case, optimiser: float(case.said["figures"].get(optimiser, 0.0)),
    "scrambling alone": lambda case, _: float(case.said["figures"].get("scrambling", 0.0)),
    "slowness alone": lambda case, _: float(case.said["figures"].get("slowness", 0.0)),
    "attenuation alone": lambda case, _: float(case.said["attenuation"] or 0.0),
}
