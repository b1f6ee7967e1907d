"""Where claims are measured: one model, its inputs, and every pass over it run at most once."""

import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import fx

from gradlint.building.built import BuiltModel, Fed
from gradlint.core.edit import Edit
from gradlint.core.flow import Flow, TimeFlow
from gradlint.core.target import LossUse
from gradlint.probe.edits import Compared, measure_edit
from gradlint.probe.execute import NodeRun, execute, inputs_of, resolve, values_at
from gradlint.probe.losses import RealLoss, loss_for
from gradlint.probe.run import Run, measure_run
from gradlint.probe.steps import measure_times
from gradlint.tracing.model_graph import ModelGraph
from gradlint.tracing.preserve import preserved

_BUDGET = 20.0
"""CPU seconds of this thread after which no further seed is tried: one pass decides."""


@dataclass(frozen=True)
class ProbeInput:
    """All that the probe needs of one examined model."""

    graph: ModelGraph
    built: BuiltModel
    fed: Fed | None
    flow: Flow | None = None
    """The predicted flow."""
    losses: tuple[LossUse, ...] = ()
    """Losses that the file applies to this model."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the cotangents; figures are medians over them."""

    @property
    def obstacle(self) -> str:
        """Why nothing can be measured; empty where it can."""
        if self.built.fake_mode is not None:
            return "the model is too large to be built with real memory here"
        if self.fed is None or self.graph.view.traced_by == "symbolic":
            return "no example inputs were found, so the model cannot be run"
        return ""


@dataclass
class Laboratory:
    """Measurements of one model, each made when first asked for. The model is left as found by all of them."""

    given: ProbeInput
    _edits: dict[tuple[Edit, str, int], Compared | None] = field(default_factory=dict)
    _nodes: dict[tuple[str, int], NodeRun] = field(default_factory=dict)

    @property
    def graph(self) -> ModelGraph:
        """The recorded pass."""
        return self.given.graph

    @property
    def fed(self) -> Fed:
        """The inputs."""
        assert self.given.fed is not None
        return self.given.fed

    @property
    def batch(self) -> int | None:
        """Size of the first input's first dimension."""
        return next((t.shape[0] for t in self.inputs if t.dim()), None)

    @cached_property
    def inputs(self) -> list[torch.Tensor]:
        """One tensor per placeholder of the graph."""
        return inputs_of(self.graph, self.fed)

    @cached_property
    def runs(self) -> tuple[Run, ...]:
        """Real passes, one per seed; only the first where that takes long. The first one keeps gradients."""
        begun, found = time.thread_time(), list[Run]()
        for seed in self.given.seeds:
            if found and time.thread_time() - begun > _BUDGET / len(self.given.seeds):
                break
            found.append(self._run(seed, first=not found))
        return tuple(found)

    def _run(self, seed: int, *, first: bool) -> Run:
        model, fed = self.graph.model, self.fed
        return measure_run(model, fed.args, fed.kwargs, seed=seed, correlate=first, keep=first)

    @property
    def first(self) -> Run:
        """The first pass."""
        return self.runs[0]

    @cached_property
    def times(self) -> tuple[TimeFlow, ...]:
        """Gradients over the steps of the model's recurrences."""
        return measure_times(self.graph.model, self.fed.args, self.fed.kwargs, seed=self.given.seeds[0])

    @cached_property
    def loss(self) -> RealLoss:
        """The loss that training applies, or one that suits the output."""
        return loss_for(self.first.outputs, self.given.losses, seed=self.given.seeds[0])

    @cached_property
    def loss_run(self) -> Run:
        """A pass with that loss instead of cotangents."""
        fed = self.fed
        return measure_run(self.graph.model, fed.args, fed.kwargs, seed=self.given.seeds[0], loss=self.loss.compute)

    @cached_property
    def stepped(self) -> Run:
        """A pass after one plain gradient step that moves a typical parameter by a tenth of its size."""
        with _stepped(self.graph, self.first):
            return self._run(self.given.seeds[0], first=True)

    # ---- figures of a subject: a parameter, a module or a node

    def gradient(self, subject: str) -> float | None:
        """RMS of the gradient at a subject, the median over the seeds; None where there is no such subject."""
        return self._median([self._gradient(run, seed, subject) for run, seed in self._seeded()])

    def output_gradient(self) -> float:
        """RMS of the gradient at the outputs, the median over the seeds."""
        return statistics.median(run.output_gradient for run in self.runs)

    def activation(self, subject: str) -> float | None:
        """RMS of what a module or node gives."""
        module = self.first.module(subject)
        if module.calls:
            return module.activation_rms
        run = self._node_run(subject, self.given.seeds[0])
        return run.activations.get(subject) if run is not None else None

    def _gradient(self, run: Run, seed: int, subject: str) -> float | None:
        if subject in run.values:
            return run.parameter(subject)
        module = run.module(subject)
        if module.calls:
            return module.gradient_rms
        node_run = self._node_run(subject, seed)
        return node_run.gradients.get(subject) if node_run is not None else None

    def _node_run(self, subject: str, seed: int) -> NodeRun | None:
        if subject not in self.graph.view.nodes:
            return None
        key = (subject, seed)
        if key not in self._nodes:
            self._nodes[key] = execute(self.graph, self.inputs, watch=[subject], seed=seed)
        return self._nodes[key]

    def _seeded(self) -> Iterator[tuple[Run, int]]:
        return zip(self.runs, self.given.seeds, strict=False)

    @staticmethod
    def _median(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def node(self, name: str) -> fx.Node | None:
        """A node by its name, or by the module whose output it is."""
        return resolve(self.graph, name)

    def value(self, node: fx.Node) -> torch.Tensor | None:
        """What a node gives on the inputs."""
        found = values_at(self.graph, self.inputs, [node]).get(node)
        return found if isinstance(found, torch.Tensor) else None

    def compared(self, edit: Edit, watch: str, seed: int) -> Compared | None:
        """The graph without and with an edit; None where the edit does not apply."""
        key = (edit, watch, seed)
        if key not in self._edits:
            nodes = [watch] if watch in self.graph.view.nodes else []
            self._edits[key] = measure_edit(self.graph, edit, self.fed, watch=nodes, seed=seed)
        return self._edits[key]


@contextmanager
def _stepped(graph: ModelGraph, run: Run) -> Iterator[None]:
    """The model with its parameters one gradient step further; put back at the end."""
    rate = _rate(run.values, run.parameter_gradients)
    with preserved(graph.model) as backups, torch.no_grad():
        for name, parameter in graph.model.named_parameters():
            gradient = run.gradients.get(name)
            if gradient is not None:
                backups.keep(parameter)
                parameter.data.sub_(rate * gradient.to(parameter))
        yield


def _rate(values: Mapping[str, float], gradients: Mapping[str, float | None]) -> float:
    ratios = [values[name] / g for name, g in gradients.items() if g and values[name]]
    return 0.1 * statistics.median(ratios) if ratios else 0.01
