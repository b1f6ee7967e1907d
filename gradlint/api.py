"""What a rule author imports: `Rule`, `RuleContext` and the values they speak in. It never imports torch."""

import ast
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Protocol

from gradlint.core.edit import Edit, EditKind
from gradlint.core.finding import Cause, Claim, Confidence, Figures, Finding, Remedy, Severity, Verdict
from gradlint.core.flow import Flow, ModuleFlow, NodeFlow, ParameterFlow, TimeFlow, UnknownOperator
from gradlint.core.graph import GraphView, Law, ModuleCall, ModuleInfo, OpNode, ParameterInfo, Stray
from gradlint.core.location import Location, Site
from gradlint.core.outlook import Outlook
from gradlint.core.tangents import Tangent, Tangents
from gradlint.core.target import LossUse, Target

API_VERSION = 1
"""Raised when a pack written for an older version would no longer work."""

__all__ = [
    "API_VERSION",
    "Cause",
    "Claim",
    "Confidence",
    "Edit",
    "EditKind",
    "Figures",
    "Finding",
    "Flow",
    "GraphView",
    "Law",
    "Location",
    "LossUse",
    "ModuleCall",
    "ModuleFlow",
    "ModuleInfo",
    "NodeFlow",
    "OpNode",
    "Outlook",
    "ParameterFlow",
    "ParameterInfo",
    "Remedy",
    "Rule",
    "RuleContext",
    "Severity",
    "Site",
    "Stray",
    "Tangent",
    "Tangents",
    "Target",
    "TimeFlow",
    "UnknownOperator",
    "Verdict",
]


class RuleContext(Protocol):
    """All that a rule may ask about one built, traced and propagated model."""

    @property
    def target(self) -> Target:
        """The model under analysis."""

    @property
    def graph(self) -> GraphView:
        """The executed graph."""

    @property
    def flow(self) -> Flow:
        """The predicted flow (computed once, shared by all rules)."""

    @property
    def tangents(self) -> Tangents | None:
        """How far the first steps of training move the outputs, and how much of that tells samples apart.

        Costs a second flow when first asked for; None where there is but one sample.
        """

    @property
    def outlook(self) -> Outlook | None:
        """How hard the model is to train with each optimiser, in decades of effort; None as for `tangents`."""

    @property
    def parameters(self) -> Mapping[str, ParameterInfo]:
        """Parameters by dotted name: law, reachability, place."""

    @property
    def modules(self) -> Mapping[str, ModuleInfo]:
        """Modules by dotted name, the model itself under `""`."""

    @property
    def losses(self) -> tuple[LossUse, ...]:
        """Losses that the file applies."""

    @property
    def optimizer(self) -> str | None:
        """ "sgd" or "adam", from configuration or training code; None where neither tells."""

    @property
    def tree(self) -> ast.Module | None:
        """Syntax tree of the checked file; None for a live model."""

    @property
    def options(self) -> Mapping[str, Any]:
        """The running rule's options (`[tool.gradlint.rules.<name>]`)."""

    @property
    def model(self) -> Any:
        """The built `torch.nn.Module`, for rules that must look at it."""

    def what_if(self, edit: Edit) -> Flow | None:
        """The flow after an edit, predicted anew; None where the edit does not apply to this graph."""

    def outlook_after(self, edit: Edit) -> Outlook | None:
        """The outlook after an edit; None where the edit does not apply, or as for `tangents`."""

    def site(self, module: str) -> Location | None:
        """Nearest constructor line of a module in the checked file (the class line where there is none)."""

    def origin(self, node: str) -> Location | None:
        """Line of another of the user's files that a node comes from, as in a module of blocks; None for what comes
        from the checked file itself, or from a package.
        """

    def near_miss(self, text: str) -> None:
        """Say, in numbers, why the rule did not fire (shown with `--verbose`)."""


class Rule(ABC):
    """One defect, one class. The class docstring is its page (Markdown), shown by `gradlint rule NAME`."""

    code: ClassVar[str]
    name: ClassVar[str]
    summary: ClassVar[str]
    level: ClassVar[str] = "stable"
    """"stable" (on), "preview" or "pedantic" (off until selected)."""
    OPTIONS: ClassVar[Mapping[str, type]] = {}
    """Type of each option (`float`, `int`, `bool` or `str`) by its name; any other in the configuration is an error."""
    INVALID: ClassVar[tuple[str, ...]] = ()
    """Model files on which the rule must fire, as source text."""
    VALID: ClassVar[tuple[str, ...]] = ()
    """Healthy twins on which it must not."""

    @abstractmethod
    def check(self, ctx: RuleContext) -> Iterable[Finding]:
        """Yield the findings for one model."""
