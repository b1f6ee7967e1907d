"""The way in when no input can be found: symbolic execution, without shapes."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import torch
from torch import fx, nn

from gradlint.building.built import BuiltModel
from gradlint.core.errors import AnalysisError
from gradlint.core.graph import GraphView, ModuleCall, OpNode, Origin
from gradlint.core.location import Location
from gradlint.tracing.dropout import drop_modules_in_eval
from gradlint.tracing.frames import error_location, user_frames
from gradlint.tracing.model_graph import ModelGraph
from gradlint.tracing.names import canonical, is_inplace
from gradlint.tracing.naming import Names, names_of
from gradlint.tracing.preserve import preserved, random_state
from gradlint.tracing.targets import flat_repr

_SEVERING = frozenset({"detach", "argmax", "argmin", "argsort", "bool", "round", "sign", "ceil", "floor"})
_ATTEMPTS = 64  # modules that may turn out untraceable before the model counts as untraceable itself


class _Tracer(fx.Tracer):
    """Expands every module but those in `leaves`; notes module, class and source line of each node."""

    def __init__(self, known: Names, leaves: set[str]) -> None:
        super().__init__()
        self.known = known
        self.leaves = leaves
        self.calls: list[ModuleCall] = []
        self.running: list[tuple[str, str]] = []
        self.failed: str | None = None

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, nn.RNNBase) or module_qualified_name in self.leaves

    def call_module(
        self, m: nn.Module, forward: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        path = self.known.modules.get(id(m), self.running[-1][0] if self.running else "")
        first = len(self.graph.nodes)
        self.running.append((path, type(m).__name__))
        try:
            result = super().call_module(m, forward, args, kwargs)
        except Exception:
            self.failed = self.failed if self.failed is not None else path
            raise
        finally:
            self.running.pop()
        output = result.node.name if isinstance(result, fx.Proxy) else None
        read = tuple(a.node.name for a in (*args, *kwargs.values()) if isinstance(a, fx.Proxy))
        self.calls.append(ModuleCall(path, output, read, first, len(self.graph.nodes)))
        return result

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        node = super().create_node(*args, **kwargs)
        node.meta["place"] = (self.running[-1] if self.running else ("", ""), user_frames(_attempt.__code__))
        return node


def trace_symbolically(built: BuiltModel) -> ModelGraph:
    """Trace a model without any input: operators and structure are known, shapes and dtypes are not.

    Modules whose forward cannot be executed symbolically stay one node each, named after their class.

    Raises:
        AnalysisError: stage "trace", where even that fails.
    """
    model = built.model
    with preserved(model), random_state():
        model.train()
        known, leaves = names_of(model), set[str]()
        with ExitStack() as stack:
            stack.enter_context(torch.enable_grad())
            stack.enter_context(drop_modules_in_eval(model))
            stack.enter_context(_unchecked_norms())
            for _ in range(_ATTEMPTS):
                tracer = _Tracer(known, leaves)
                try:
                    graph = _attempt(tracer, model)
                except Exception as error:
                    if not tracer.failed:
                        raise _failure(error, built) from error
                    leaves.add(tracer.failed)
                    continue
                return _finish(graph, tracer, known, model)
    raise AnalysisError(
        f"more than {_ATTEMPTS} modules cannot be traced symbolically", stage="trace", location=built.class_location
    )


@contextmanager
def _unchecked_norms() -> Iterator[None]:
    """Let batch and instance norm be expanded: their check of the number of dimensions needs a shape."""
    with ExitStack() as stack:
        for module in (nn.modules.batchnorm, nn.modules.instancenorm):
            for cls in vars(module).values():
                if isinstance(cls, type) and "_check_input_dim" in vars(cls):
                    stack.enter_context(mock.patch.object(cls, "_check_input_dim", lambda *_: None))
        yield


def _attempt(tracer: _Tracer, model: nn.Module) -> fx.Graph:
    return tracer.trace(model)


def _failure(error: Exception, built: BuiltModel) -> AnalysisError:
    text = " ".join(str(error).split())[:300]
    return AnalysisError(
        f"no example input is known, and tracing without one failed: {type(error).__name__}: {text}",
        stage="trace",
        location=error_location(error) or built.class_location,
        remedy="say what the model takes: inputs = [...] under [[tool.gradlint.targets]]",
    )


def _finish(graph: fx.Graph, tracer: _Tracer, known: Names, model: nn.Module) -> ModelGraph:
    nodes: dict[str, OpNode] = {}
    used: set[str] = set()
    for node in graph.nodes:
        if node.op == "output":
            continue
        _as_function(node, model)
        description = _describe(node, model, known)
        node.meta["op"], node.meta["val"] = description, None
        nodes[node.name] = description
        if description.op == "parameter":
            used.add(description.target)
        elif node.op == "call_module" or isinstance(node.target, nn.Module):
            used |= {known.parameters[id(p)] for p in model.get_submodule(description.target).parameters()}
    output = next(node for node in graph.nodes if node.op == "output")
    outputs = tuple(dict.fromkeys(node.name for node in output.all_input_nodes))
    view = GraphView(
        nodes=nodes,
        calls=tuple(tracer.calls),
        inputs=tuple(node.name for node in graph.nodes if node.op == "placeholder"),
        outputs=outputs,
        traced_by="symbolic",
    )
    return ModelGraph(graph, view, model, _reachable(nodes, outputs, model, known), frozenset(used), known.shared)


def _as_function(node: fx.Node, model: nn.Module) -> None:
    """Method and module calls become function calls, so that a graph has one kind of operator."""
    if node.op == "call_method":
        method = str(node.target)
        node.op, node.target = "call_function", getattr(torch.Tensor, method)
    elif node.op == "call_module":
        node.meta["path"] = str(node.target)
        node.op, node.target = "call_function", model.get_submodule(str(node.target))


def _describe(node: fx.Node, model: nn.Module, known: Names) -> OpNode:
    (module, cls), frames = node.meta.get("place", (("", ""), ()))
    op, target, inplace = "input", "", False
    if node.op == "get_attr":
        op, target = _attribute(str(node.target), model, known)
    elif isinstance(node.target, nn.Module):
        op, target = type(node.target).__name__.lower(), node.meta["path"]
    elif callable(node.target):
        op, inplace = canonical(node.target), is_inplace(node.target, dict(node.kwargs))
        op = str(node.args[1]) if op == "getattr" else op
    scalars = flat_repr(node.args, dict(node.kwargs), lambda value: isinstance(value, fx.Node))
    location: Location | None = frames[0] if frames else None
    inputs = tuple(n.name for n in node.all_input_nodes)
    return OpNode(
        name=node.name,
        op=op,
        inputs=inputs,
        shape=None,
        dtype="",
        module=module,
        module_class=cls,
        location=location,
        frames=frames,
        requires_grad=op != "input" and op not in _SEVERING,
        inplace=inplace,
        origin=Origin.SYMBOLIC,
        target=target,
        scalars=scalars,
    )


def _attribute(name: str, model: nn.Module, known: Names) -> tuple[str, str]:
    """Kind and first dotted name of what a `get_attr` node reads."""
    value: Any = model
    for part in name.split("."):
        value = getattr(value, part)
    if id(value) in known.parameters:
        return "parameter", known.parameters[id(value)]
    if id(value) in known.buffers:
        return "buffer", known.buffers[id(value)]
    return "constant", name


def _reachable(nodes: dict[str, OpNode], outputs: tuple[str, ...], model: nn.Module, known: Names) -> frozenset[str]:
    """Parameters that the outputs read through operators that let a gradient pass."""
    trainable = {known.parameters[id(p)] for p in model.parameters() if p.requires_grad}
    found, seen, pending = set[str](), set[str](), list(outputs)
    while pending:
        name = pending.pop()
        if name in seen or nodes[name].op in _SEVERING:
            continue
        seen.add(name)
        node = nodes[name]
        if node.op == "parameter":
            found.add(node.target)
        elif node.target and node.op not in ("buffer", "constant"):
            found |= {known.parameters[id(p)] for p in model.get_submodule(node.target).parameters()}
        pending.extend(node.inputs)
    return frozenset(found & trainable)
