"""Record one forward pass of a built model."""

import inspect
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn

from gradlint.building.built import BuiltModel, Fed
from gradlint.building.failure import values_needed
from gradlint.building.surroundings import uncompiled
from gradlint.core.errors import AnalysisError, ValuesNeededError
from gradlint.core.graph import GraphView
from gradlint.tracing.dropout import drop_modules_in_eval
from gradlint.tracing.frames import error_location
from gradlint.tracing.leaves import named_tensors, opaque, output_leaves, tensors
from gradlint.tracing.model_graph import ModelGraph
from gradlint.tracing.naming import Names, names_of
from gradlint.tracing.patches import autograd_functions, builtins_only, module_calls, no_checkpoints, scripted_functions
from gradlint.tracing.preserve import preserved, random_state, refresh_flat_weights
from gradlint.tracing.prune import without_idle_buffers
from gradlint.tracing.reach import leaves_of, reachable
from gradlint.tracing.recorder import Recorder
from gradlint.tracing.strays import strays


def trace(built: BuiltModel, fed: Fed) -> ModelGraph:
    """Run the model's forward once, in training mode with dropout as identity, and record it.

    The model is left exactly as found: attributes, buffers, gradients, training flags, random state and grad mode.

    Raises:
        AnalysisError: stage "feed", where the forward raises or returns no floating tensor; the location is the
            user's line.
    """
    model = built.model
    with preserved(model) as backups, random_state():
        model.train()
        refresh_flat_weights(model)
        if built.fake_mode is not None:
            _restore_known_buffers(built)
        known = names_of(model)
        recorder = Recorder(known, backups, fake=built.fake_mode is not None, bottom=_run.__code__)
        for tensor in tensors((fed.args, dict(fed.kwargs))):
            backups.keep(tensor)
        for name, tensor in input_tensors(model, fed):
            recorder.feed(name, tensor)
        try:
            result = _recorded(recorder, model, fed, built)
            return _graph(recorder, known, model, result, built)
        finally:
            recorder.release()


def _restore_known_buffers(built: BuiltModel) -> None:
    """Give a model without memory its real buffers for this pass, so that what is computed of them is known."""
    names = names_of(built.model).buffers
    real: dict[int, torch.Tensor] = {}
    for module in built.model.modules():
        for name, buffer in module._buffers.items():
            known = built.values.get(names[id(buffer)]) if buffer is not None else None
            if buffer is not None and known is not None and known.values is not None:
                module._buffers[name] = real.setdefault(id(buffer), known.values.detach().clone())


def _recorded(recorder: Recorder, model: nn.Module, fed: Fed, built: BuiltModel) -> Any:
    try:
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            stack.enter_context(drop_modules_in_eval(model))
            stack.enter_context(builtins_only())
            stack.enter_context(no_checkpoints())
            stack.enter_context(uncompiled())
            stack.enter_context(module_calls(recorder.module))
            stack.enter_context(scripted_functions())
            stack.enter_context(autograd_functions(recorder.custom_function))
            stack.enter_context(recorder)
            return _run(model, fed)
    except (Exception, SystemExit) as error:
        raise feed_error(error, fed, built) from error


def _run(model: nn.Module, fed: Fed) -> Any:
    return model(*fed.args, **dict(fed.kwargs))


def feed_error(error: BaseException, fed: Fed, built: BuiltModel) -> AnalysisError:
    """The finding for a forward pass that raised."""
    text = " ".join(str(error).split())[:300]
    described = fed.described or "the example input"
    kind = ValuesNeededError if values_needed(error, built) else AnalysisError
    return kind(
        f"the forward pass raised {type(error).__name__} on {described}: {text}",
        stage="feed",
        location=error_location(error) or built.class_location,
        remedy="say what the model takes: inputs = [...] under [[tool.gradlint.targets]]",
    )


def _graph(recorder: Recorder, known: Names, model: nn.Module, result: Any, built: BuiltModel) -> ModelGraph:
    leaves = output_leaves(result)
    if not leaves:
        raise AnalysisError(
            f"the forward pass returned no floating tensor (it returned {type(result).__name__})",
            stage="feed",
            location=built.class_location,
        )
    nodes = [recorder.values.read(leaf) for leaf in leaves]
    reached = leaves_of(leaves)
    recorder.writer.output(nodes)
    graph = recorder.writer.graph
    described, calls = without_idle_buffers(graph, recorder.writer.nodes, recorder.calls)
    view = GraphView(
        nodes=described,
        calls=tuple(calls),
        inputs=tuple(n.name for n in graph.nodes if n.op == "placeholder"),
        outputs=tuple(dict.fromkeys(n.name for n in nodes)),
        guesses=tuple(recorder.guesses),
        traced_by="recorder",
        strays=strays(model, {id(leaf) for leaf in reached}),
        opaque=tuple(dict.fromkeys(opaque(result))),
    )
    return ModelGraph(
        graph=graph,
        view=view,
        model=model,
        reachable=reachable(reached, known.parameters),
        used=frozenset(recorder.used),
        shared=known.shared,
        output_template=_template(result),
    )


def input_tensors(model: nn.Module, fed: Fed) -> list[tuple[str, torch.Tensor]]:
    """Each input tensor once, in the order of the graph's placeholders, with the name that the forward gives it.

    Those whose values the file computes are left out: they are constants of the graph.
    """
    unique: dict[int, tuple[str, torch.Tensor]] = {}
    constants = {id(tensor) for tensor in fed.held}
    for name, tensor in named_tensors(_argument_names(model, fed.args, fed.kwargs)):
        if id(tensor) not in constants:
            unique.setdefault(id(tensor), (name, tensor))
    return list(unique.values())


def _argument_names(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments under the names that the forward gives them; `input_i` where it does not say."""
    try:
        bound = inspect.signature(model.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the call itself will say what is wrong
        return {**{f"input_{i}": value for i, value in enumerate(args)}, **kwargs}
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return named


def _template(value: Any) -> Any:
    """Class names in place of an output's leaves."""
    if isinstance(value, Mapping):
        return {str(key): _template(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_template(item) for item in value]
    return type(value).__name__
