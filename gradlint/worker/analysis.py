"""The pipeline: a target is built, fed, traced and propagated; the rules read its flow; findings come out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gradlint import building, propagation, tracing
from gradlint.building.built import BuiltModel, Fed
from gradlint.building.devices import cpu_for_cuda
from gradlint.building.failure import lacks_memory, raised_at
from gradlint.building.namespace import Namespace
from gradlint.building.processes import as_only_process
from gradlint.cache.recorder import refuse
from gradlint.core.errors import AnalysisError, NothingToTrainError, ValuesNeededError
from gradlint.core.flow import Flow
from gradlint.core.location import Location
from gradlint.core.report import ModelSummary, Skipped
from gradlint.core.table import FlowTable
from gradlint.core.target import Target
from gradlint.discovery import FileScan, scan_file
from gradlint.tracing import ModelGraph
from gradlint.worker.architecture import architecture_of
from gradlint.worker.finite import require_finite
from gradlint.worker.judging import judge
from gradlint.worker.messages import Settings, TargetResult
from gradlint.worker.stages import DOING, InternalError, OnStage, stage
from gradlint.worker.tables import table_of
from gradlint.worker.unanalysable import unanalysable
from gradlint.worker.ways import built_in_some_way


@dataclass(frozen=True)
class Examined:
    """A model of which everything is known that rules, tables and the probe ask for."""

    target: Target
    built: BuiltModel
    graph: ModelGraph
    flow: Flow
    fed: Fed | None
    """None where no inputs were found: the model was traced symbolically."""
    scan: FileScan | None
    """None for a live model."""
    together: Flow
    """The flow where all samples have the same cotangents."""

    def summary(self, probed: str = "", near_misses: tuple[str, ...] = ()) -> ModelSummary:
        """What the report says of the model."""
        place = self.built.class_location or Location(self.target.path, max(1, self.target.line))
        through = f", through {self.fed.through}" if self.fed is not None and self.fed.through else ""
        fed = f"{self.fed.described} ({self.fed.source}{through})" if self.fed is not None else "none found"
        return ModelSummary(
            name=self.target.name,
            path=place.path,
            line=place.line,
            built=self.built.built,
            inputs=fed,
            traced_by=self.graph.view.traced_by,
            nodes=len(self.graph.view.nodes),
            unknown_operators=tuple(dict.fromkeys(operator.op for operator in self.flow.unknown)),
            parameters=sum(parameter.numel() for parameter in self.built.model.parameters()),
            attenuation=self.flow.attenuation,
            flow_not_known=self._flow_not_known(),
            probed=probed,
            near_misses=near_misses,
            architecture=architecture_of(self),
        )

    def _flow_not_known(self) -> str:
        """Why the gradient at layers that have parameters is not known; empty where it is."""
        layers = {path for path in self.flow.parametrised if path in self.flow.module_flows}
        unknown = {path for path in layers if self.flow.module_flows[path].attenuation is None}
        if self.fed is None:
            return "at all: no inputs were found to run its forward on, so only its structure was followed"
        if not self.flow.parametrised or (layers and not unknown):
            return ""
        if not layers and any(found.gradient_rms for found in self.flow.parameter_flows.values()):
            return ""  # parameters are held by a module that is never called, as in a ParameterList
        where = f"at {len(unknown)} of its {len(layers)} layers" if len(unknown) < len(layers) else "at any layer"
        if self.flow.unknown:
            return f"{where}: every way to the outputs leads through an operator without a transfer rule"
        return f"{where}: its outputs are not of a kind that gradients are predicted for"


def analyse(target: Target, source: str, settings: Settings, *, on_stage: OnStage) -> TargetResult:
    """Check one target of a file; never raises for anything that the user's code does.

    Args:
        target: what to build, and how.
        source: the file's text, as it was scanned.
        settings: rules, options, probe, limits.
        on_stage: told the name of each stage as it is entered.
    """
    try:
        with cpu_for_cuda(source), as_only_process(source):
            examined = examine(target, source, on_stage=on_stage)
            return findings_of(examined, settings, on_stage=on_stage)
    except NothingToTrainError as error:
        return _nothing_to_train(error, target)
    except AnalysisError as error:
        mended = _as_memory_error(error, settings)
        if mended is not error or isinstance(error, InternalError):
            refuse(mended.message)
        return unanalysable(mended, target, fatal=isinstance(error, InternalError))
    except KeyboardInterrupt as error:  # no keyboard reaches the worker: the user's code has raised it
        place = raised_at(error, target.path)
        told = AnalysisError("it raised KeyboardInterrupt", stage="build", location=place)
        return unanalysable(told, target)


def _nothing_to_train(error: NothingToTrainError, target: Target) -> TargetResult:
    """A note, as for a file without models."""
    place = error.location or Location(target.path, max(1, target.line))
    note = Skipped(place.path, place.line, target.name, error.message, error.remedy, is_model=False)
    return TargetResult((), skipped=(note,))


def tabulate(
    target: Target, source: str, settings: Settings, *, measured: bool, on_stage: OnStage
) -> tuple[FlowTable | None, tuple[Skipped, ...]]:
    """The predicted flow of one target as a table, with a real backward pass beside it where `measured`."""
    try:
        with cpu_for_cuda(source), as_only_process(source):
            examined = examine(target, source, on_stage=on_stage)
            with stage("probe" if measured else "propagate", target, on_stage):
                return table_of(examined, measured=measured), ()
    except AnalysisError as error:
        return None, unanalysable(_as_memory_error(error, settings), target).skipped


def examine(target: Target, source: str, *, on_stage: OnStage) -> Examined:
    """Load, build, feed, trace and propagate a target; raises AnalysisError."""
    with stage("import", target, on_stage):
        scan = scan_file(target.path, source)
        namespace = _namespace(target.path, source)
    built, fed = built_in_some_way(target, namespace, on_stage=on_stage)
    try:
        return examine_built(target, built, fed, scan, on_stage=on_stage)
    except ValuesNeededError:
        with stage("build", target, on_stage):
            built = building.build_with_values(built, namespace)
    except AnalysisError as error:
        fake = building.build_without_memory(built, namespace) if lacks_memory(error) else None
        if fake is None:
            raise
        return _examine_without_memory(target, fake, scan, error, on_stage)
    return examine_built(target, built, None, scan, on_stage=on_stage)


def _examine_without_memory(
    target: Target, fake: BuiltModel, scan: FileScan | None, error: AnalysisError, on_stage: OnStage
) -> Examined:
    """A model whose forward pass takes too much memory, built without; raises `error` where it does not run so."""
    try:
        return examine_built(target, fake, None, scan, on_stage=on_stage)
    except AnalysisError:  # it depends on values: that the memory does not suffice is what its user can change
        raise error from None


def examine_built(
    target: Target, built: BuiltModel, fed: Fed | None, scan: FileScan | None, *, on_stage: OnStage
) -> Examined:
    """Feed (unless inputs are given), trace and propagate a built model; raises AnalysisError."""
    with stage("build", target, on_stage):
        require_finite(built)
    if fed is None:
        try:
            with stage("feed", target, on_stage):
                fed = building.feed(built)
        except ValuesNeededError:
            raise
        except AnalysisError as unfed:
            _require_parameters(target, built)
            return _examine_unfed(target, built, scan, unfed, on_stage)
    with stage("trace", target, on_stage):
        graph = tracing.trace(built, fed)
        require_outputs(graph)
    with stage("propagate", target, on_stage):
        flows = propagation.propagate_both(graph, built.values)
    return Examined(target, built, graph, flows.apart, fed, scan, flows.together)


def _require_parameters(target: Target, built: BuiltModel) -> None:
    """Raise NothingToTrainError where a module that could not be run has nothing to train either."""
    if next(iter(built.model.parameters()), None) is None:
        place = built.class_location or Location(target.path, max(1, target.line))
        remedy = "if it is trained as part of a model, check that model"
        raise NothingToTrainError("it has no parameters to train", stage="feed", location=place, remedy=remedy)


def require_outputs(graph: ModelGraph) -> None:
    """Raise AnalysisError where no output has an element: nothing flows back from a batch of none."""
    shapes = [graph.view.nodes[name].shape for name in graph.view.outputs if name in graph.view.nodes]
    if shapes and all(shape is not None and 0 in shape for shape in shapes):
        reason = f"the forward pass gave no elements on these inputs: an output of shape {shapes[0]}"
        raise AnalysisError(reason, stage="feed", remedy="give inputs without a dimension of 0: a batch of one or more")


def findings_of(examined: Examined, settings: Settings, *, on_stage: OnStage) -> TargetResult:
    """Run the rules, and the probe where it is asked for."""
    with stage("rules", examined.target, on_stage):
        judged = judge(examined, settings, on_stage=on_stage)
    root = type(examined.built.model).__name__
    contains = {info.class_name for path, info in examined.built.modules.items() if path and not info.is_torch}
    return TargetResult(judged.findings, judged.summary, judged.skipped, tuple(sorted(contains - {root})))


_namespaces: dict[tuple[str, int], Namespace] = {}
"""The file loaded last: its further targets share one import."""


def _namespace(path: str, source: str) -> Namespace:
    key = (path, hash(source))
    if key not in _namespaces:
        _namespaces.clear()
        _namespaces[key] = building.load_module(path, source=source)
    return _namespaces[key]


def _examine_unfed(
    target: Target, built: BuiltModel, scan: FileScan | None, unfed: AnalysisError, on_stage: OnStage
) -> Examined:
    """Trace symbolically; where that leads nowhere, the missing inputs are what the user must hear of."""
    try:
        with stage("trace", target, on_stage):
            graph = tracing.trace_symbolically(built)
        with stage("propagate", target, on_stage):
            flows = propagation.propagate_both(graph, built.values)
    except AnalysisError:
        raise unfed from None
    return Examined(target, built, graph, flows.apart, None, scan, flows.together)


def _as_memory_error(error: AnalysisError, settings: Settings) -> AnalysisError:
    """Say "memory limit" where an allocation failed at the limit."""
    if not lacks_memory(error):
        return error
    gibibytes = settings.memory / 2**30
    return AnalysisError(
        f"{DOING.get(error.stage, error.stage)} needs more than the {gibibytes:g} GiB of memory that it may take",
        stage=error.stage,
        location=error.location,
        remedy=f"if it is meant to be that large: gradlint check --memory {2 * gibibytes:g}",
    )


def describe_inputs(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Shapes and dtypes of given inputs, for people."""
    parts = [_described(value) for value in args]
    parts += [f"{name}={_described(value)}" for name, value in kwargs.items()]
    return ", ".join(parts)


def _described(value: Any) -> str:
    shape = getattr(value, "shape", None)
    if shape is None:
        return type(value).__name__
    return f"{tuple(shape)} {str(value.dtype).removeprefix('torch.')}"
