"""Live models, in the caller's own process. The model, the random state and the grad mode are left exactly as found.

One thread at a time: a second one waits until the first is done.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from gradlint import registry
from gradlint.config import Config, from_options
from gradlint.core.edit import Edit
from gradlint.core.errors import AnalysisError, UsageError
from gradlint.core.flow import Flow
from gradlint.core.location import Location
from gradlint.core.outlook import Outlook
from gradlint.core.outlook import outlook as effort_of
from gradlint.core.report import Report
from gradlint.core.tangents import Tangents
from gradlint.core.target import Target
from gradlint.engine.alone import alone
from gradlint.engine.given import fed_with
from gradlint.gate.configured import graded

if TYPE_CHECKING:
    from torch import nn

    from gradlint.building.built import BuiltModel, ParameterValues
    from gradlint.tracing import ModelGraph

Found = TypeVar("Found")


@alone
def check_model(model: "nn.Module", example_inputs: Any = None, **options: Any) -> Report:
    """Check a live model.

    Args:
        model: the model; its parameters' own values are used instead of their laws.
        example_inputs: a tensor, a tuple of positional arguments, or a dictionary of keyword arguments; None derives
            them from the model's first layers.
        options: keys of the configuration in snake_case (`probe=True`, `optimizer="sgd"`, `select=["GL1"]` …).

    Raises:
        UsageError: an unknown option, selector or rule name.
        TypeError: keyword arguments whose names are no strings.
    """
    from gradlint.worker import analysis
    from gradlint.worker.messages import Settings
    from gradlint.worker.stages import InternalError, stage
    from gradlint.worker.unanalysable import unanalysable

    config = from_options(**options)
    for key in ("baseline", "per_file_ignores", "overrides"):
        if getattr(config, key):
            raise UsageError(
                f"{key}: check_model looks at no file", remedy="leave it out; `select` and `severity` hold"
            )
    selection = registry.select(registry.load(), config)
    codes = tuple(rule.code for rule in selection.rules)
    settings = Settings(codes, dict(config.rules), config.probe, dict(selection.severities), int(config.memory * 2**30))
    target = _target(model, config)
    try:
        with stage("build", target, _quiet):
            built = _adopt(model, target)
        fed = None if example_inputs is None else fed_with(model, example_inputs, {})
        examined = analysis.examine_built(target, built, fed, None, on_stage=_quiet)
        result = analysis.findings_of(examined, settings, on_stage=_quiet)
    except AnalysisError as error:
        result = unanalysable(error, target, fatal=isinstance(error, InternalError))
    findings = tuple(graded(finding, selection) for finding in result.findings if finding.code in selection.codes)
    models = (result.summary,) if result.summary is not None else ()
    return Report(findings=findings, models=models, skipped=result.skipped, files=0)


@alone
def flow(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> Flow:
    """Predict a live model's gradient flow, without a backward pass.

    Args:
        model: the model.
        example_inputs: a tensor, a tuple of positional arguments, or a dictionary of keyword arguments. Only shapes and
            dtypes count, but for masks, lengths and booleans, whose values do too.
        kwargs: further keyword arguments of the forward.

    Raises:
        AnalysisError: the model does not run on these inputs.
        TypeError: keyword arguments whose names are no strings.
    """
    from gradlint import propagation

    return _predicted(model, example_inputs, kwargs, propagation.propagate)


@alone
def what_if(
    model: "nn.Module", example_inputs: Any, edit: Edit, *, kwargs: Mapping[str, Any] | None = None
) -> Flow | None:
    """Predict a live model's flow as it would be after an edit.

    Args:
        model: the model.
        example_inputs: as for `flow`.
        edit: the change; its nodes are those of `flow(…).nodes`, its parameters dotted names.
        kwargs: further keyword arguments of the forward.

    Returns:
        None where the edit does not apply: no such nodes or parameters, shapes that do not fit.

    Raises:
        AnalysisError: the model does not run on these inputs.
    """
    from gradlint import propagation

    return _predicted(model, example_inputs, kwargs, lambda graph, values: propagation.what_if(graph, values, edit))


@alone
def tangents(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> Tangents | None:
    """Predict how far the first steps of training move a live model's outputs, parameter by parameter.

    Args:
        model: the model.
        example_inputs: as for `flow`, with at least two samples.
        kwargs: further keyword arguments of the forward.

    Returns:
        None where the outputs do not hold at least two samples along their first dim.

    Raises:
        AnalysisError: the model does not run on these inputs.
    """
    return _predicted(model, example_inputs, kwargs, lambda graph, values: _first_steps(graph, values)[0])


@alone
def outlook(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> Outlook | None:
    """Predict how much effort a live model will need to be trained.

    Args:
        model: the model.
        example_inputs: as for `tangents`.
        kwargs: further keyword arguments of the forward.

    Returns:
        None where the outputs do not hold at least two samples along their first dim.

    Raises:
        AnalysisError: the model does not run on these inputs.
    """

    def predict(graph: "ModelGraph", values: "Mapping[str, ParameterValues]") -> Outlook | None:
        found, apart = _first_steps(graph, values)
        return effort_of(found, apart) if found is not None else None

    return _predicted(model, example_inputs, kwargs, predict)


def _first_steps(graph: "ModelGraph", values: "Mapping[str, ParameterValues]") -> tuple[Tangents | None, Flow]:
    from gradlint import propagation

    flows = propagation.propagate_both(graph, values)
    return propagation.tangents(graph, flows), flows.apart


def _predicted(
    model: "nn.Module",
    example_inputs: Any,
    kwargs: Mapping[str, Any] | None,
    predict: "Callable[[ModelGraph, Mapping[str, ParameterValues]], Found]",
) -> Found:
    """Take the model in as the pipeline does, record its graph, and predict something of it."""
    from gradlint import tracing
    from gradlint.worker import analysis
    from gradlint.worker.stages import stage

    target = _target(model, Config())
    fed = fed_with(model, example_inputs, kwargs or {})
    with stage("build", target, _quiet):
        built = _adopt(model, target)
    with stage("trace", target, _quiet):
        graph = tracing.trace(built, fed)
        analysis.require_outputs(graph)
    with stage("propagate", target, _quiet):
        return predict(graph, built.values)


@alone
def measure(model: "nn.Module", example_inputs: Any, *, kwargs: Mapping[str, Any] | None = None) -> Flow:
    """The same structure as `flow`, from one real forward and backward pass with standard normal cotangents.

    Args:
        model: the model.
        example_inputs: as for `flow`; the tensors are used as given.
        kwargs: further keyword arguments of the forward.

    Raises:
        AnalysisError: a parameter or input without values.
        Exception: whatever the model's forward raises on these inputs.
    """
    from gradlint import probe

    _require_values(model)
    fed = fed_with(model, example_inputs, kwargs or {}, as_given=True)
    return probe.measure(model, fed.args, dict(fed.kwargs))


def _target(model: "nn.Module", config: Config) -> Target:
    """A model under the name and place of its class."""
    from torch import nn

    from gradlint.building.live_sites import class_line

    if not isinstance(model, nn.Module):
        is_class = isinstance(model, type) and issubclass(model, nn.Module)
        given = f"the class {model.__name__}" if is_class else type(model).__name__
        remedy = f"make an instance: {model.__name__}(...)" if is_class else "name a file with `gradlint.check`"
        raise UsageError(f"expected an nn.Module, not {given}", remedy=remedy)
    place = class_line(type(model)) or Location("<live model>", 1)
    return Target(
        path=place.path,
        name=type(model).__name__,
        line=place.line,
        optimizer=config.optimizer,
        batch=config.batch,
        sequence_length=config.sequence_length,
        built="live",
    )


def _adopt(model: "nn.Module", target: Target) -> "BuiltModel":
    """The model as the pipeline takes it."""
    from gradlint import building

    _require_values(model)
    return replace(building.adopt(model), target=target)


def _require_values(model: "nn.Module") -> None:
    """Raise AnalysisError where a parameter or buffer has no value that could be read (and left as it is)."""
    from torch.nn.parameter import is_lazy

    _target(model, Config())
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if is_lazy(tensor):
            reason, remedy = f"{name} has no shape yet (a lazy module)", "run the model once on an example first"
        elif tensor.is_meta:
            reason, remedy = (
                f"{name} has no value: it is on the meta device",
                "model.to_empty(device=…), then initialise",
            )
        elif tensor.is_inference():
            reason = f"{name} was made under torch.inference_mode(): no gradient can ever be computed for it"
            remedy = "build the model outside of torch.inference_mode()"
        else:
            continue
        raise AnalysisError(reason, stage="build", remedy=remedy)


def _quiet(stage: str) -> None:
    """Nobody follows the stages of a live model."""
