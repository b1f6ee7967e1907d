"""What a rule is given: one built, traced and propagated model, everything costly computed at most once."""

import ast
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from gradlint import propagation
from gradlint.building.built import BuiltModel
from gradlint.building.laws import parameter_infos
from gradlint.cache.observations import is_installed
from gradlint.core.edit import Edit
from gradlint.core.flow import Flow
from gradlint.core.graph import GraphView, ModuleInfo, ParameterInfo
from gradlint.core.location import Location
from gradlint.core.outlook import Outlook, outlook
from gradlint.core.tangents import Tangents
from gradlint.core.target import LossUse, Target
from gradlint.tracing import ModelGraph


class Context:
    """The `gradlint.api.RuleContext` that the pipeline hands to each rule in turn."""

    def __init__(
        self,
        built: BuiltModel,
        graph: ModelGraph,
        flow: Flow,
        *,
        target: Target,
        together: Flow | None = None,
        losses: tuple[LossUse, ...] = (),
        optimizer: str | None = None,
        tree: ast.Module | None = None,
        is_whole: bool = True,
    ) -> None:
        self._built = built
        self._graph = graph
        self.flow = flow
        self._together = together
        self.target = target
        self.losses = losses
        self.optimizer = optimizer
        self.tree = tree
        self._is_whole = is_whole
        self.options: Mapping[str, Any] = {}
        self.near_misses: list[str] = []
        self._rule = ""
        self._tried: dict[Edit, Flow | None] = {}
        self._outlooks: dict[Edit, Outlook | None] = {}

    def enter(self, rule: str, options: Mapping[str, Any]) -> None:
        """Make ready for the next rule: its options, its name before what it says."""
        self._rule = rule
        self.options = options

    @property
    def graph(self) -> GraphView:
        """The executed graph."""
        return self._graph.view

    @property
    def model(self) -> Any:
        """The built module."""
        return self._built.model

    @property
    def modules(self) -> Mapping[str, ModuleInfo]:
        """Modules by dotted name."""
        return self._built.modules

    @cached_property
    def parameters(self) -> Mapping[str, ParameterInfo]:
        """Parameters by dotted name; of a model that is run in part only those of that part."""
        infos = parameter_infos(self._built, self._graph.view, self._graph.reachable, self._graph.used)
        return infos if self._is_whole else {name: info for name, info in infos.items() if info.used}

    @cached_property
    def tangents(self) -> Tangents | None:
        """How far the first steps of training move the outputs, predicted when it is first asked for."""
        if self._together is None:
            return propagation.tangents(self._graph, propagation.propagate_both(self._graph, self._built.values))
        return propagation.tangents(self._graph, propagation.Pair(self.flow, self._together))

    @cached_property
    def outlook(self) -> Outlook | None:
        """The effort that training will need; None where the tangent kernel is not known."""
        return outlook(self.tangents, self.flow) if self.tangents is not None else None

    def outlook_after(self, edit: Edit) -> Outlook | None:
        """The outlook after an edit; the same edit is propagated once only."""
        if edit not in self._outlooks:
            flows = propagation.what_if_both(self._graph, self._built.values, edit)
            found = propagation.tangents(self._graph, flows) if flows is not None else None
            self._outlooks[edit] = outlook(found, flows.apart) if found is not None and flows is not None else None
            self._tried[edit] = flows.apart if flows is not None else None
        return self._outlooks[edit]

    def what_if(self, edit: Edit) -> Flow | None:
        """The flow after an edit; the same edit is propagated once only."""
        if edit not in self._tried:
            self._tried[edit] = propagation.what_if(self._graph, self._built.values, edit)
        return self._tried[edit]

    def site(self, module: str) -> Location | None:
        """Nearest line in the checked file that built a module, or a module around it; the class line in the end."""
        path = module
        while True:
            info = self.modules.get(path)
            for place in info.sites if info is not None else ():
                if place.path == self.target.path:
                    return place
            if not path:
                return self._built.class_location or (info.sites[0] if info is not None and info.sites else None)
            path = path.rpartition(".")[0]

    def origin(self, node: str) -> Location | None:
        """Line of another of the user's files that a node comes from; None for the checked file and for packages."""
        found = self.graph.nodes[node]
        info = self.modules.get(found.module)
        is_made = info is not None and info.is_torch and bool(found.module)
        place = next(iter(info.sites), None) if info is not None and is_made else found.location
        is_elsewhere = place is not None and place.path != self.target.path and not is_installed(place.path)
        return place if is_elsewhere else None

    def near_miss(self, text: str) -> None:
        """Keep why the rule did not fire."""
        self.near_misses.append(f"{self._rule}: {text}")
