"""`propagate`: predict the flow of a traced model."""

from collections.abc import Mapping

import torch
from torch import Tensor, fx

from gradlint.building.built import ParameterValues
from gradlint.core.edit import Edit
from gradlint.core.flow import Flow
from gradlint.propagation import particles as P
from gradlint.propagation.engine import Propagation, is_complex
from gradlint.propagation.figures import Arrived
from gradlint.propagation.inputs import alike
from gradlint.propagation.result import build_flow
from gradlint.propagation.scans import scans
from gradlint.propagation.signal import Signal, modes
from gradlint.propagation.transfer import TRANSFER
from gradlint.propagation.whatif import Editor, NotApplicableError, check_names, edited_values
from gradlint.tracing.model_graph import ModelGraph


def propagate(
    graph: ModelGraph, values: Mapping[str, ParameterValues], *, seed: int = 0, together: bool = False
) -> Flow:
    """Predict activation and gradient RMS of every node, module and parameter.

    Cotangents are independent standard normal numbers on every floating tensor among the outputs.

    Args:
        graph: the executed forward pass.
        values: parameters and buffers, real or as a sample of their law.
        seed: seed of the particles; the prediction moves with it by its sampling error only.
        together: let all samples have the same cotangents.
    """
    return _run(Propagation(graph, values, TRANSFER, seed), together=together)


def what_if(
    graph: ModelGraph, values: Mapping[str, ParameterValues], edit: Edit, *, seed: int = 0, together: bool = False
) -> Flow | None:
    """The flow after an edit, all as for `propagate`; None where the edit does not apply to this graph."""
    try:
        check_names(graph, edit)
        run = Propagation(graph, edited_values(values, edit), TRANSFER, seed, Editor(edit))
        return _run(run, together=together)
    except NotApplicableError:
        return None


def _run(run: Propagation, *, together: bool = False) -> Flow:
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        try:
            run.forward()
            run.unknown.extend(scans(run.environment))
            _backward(run, together=together)
            return build_flow(run)
        finally:
            _release(run)


def _backward(run: Propagation, *, together: bool) -> None:
    tensors: list[Tensor] = []
    cotangents: list[Tensor] = []
    for node in _outputs(run):
        signal = run.environment.get(node)
        if isinstance(signal, Signal) and signal.x.requires_grad and not is_complex(node):
            tensors.append(signal.x)
            moments = alike(signal.dims)
            if together:
                moments = P.Moments(moments.q, moments.p, moments.q, moments.p)
            full = P.cotangent(moments, "output", node.name)
            single = modes(moments, "output", node.name)
            cotangents.append(full if signal.x.shape[1] > 1 else single)
    if tensors:
        # of a scalar: torch.autograd imports sympy as soon as it is handed gradients of its own
        parts = [(tensor * cotangent).sum() for tensor, cotangent in zip(tensors, cotangents, strict=True)]
        torch.autograd.backward(torch.stack(parts).sum())


def _release(run: Propagation) -> None:
    """Let go of all particles: backward functions hold the run, which holds what they made, and gc cannot see that."""
    for held in (run.environment, run.branches, run.leaves, run.elementwise, run.seen, run.folded):
        held.clear()
    run.arrived = Arrived()
    run.repeats.clear()


def _outputs(run: Propagation) -> list[fx.Node]:
    names = set(run.graph.view.outputs)
    return [node for node in run.graph.graph.nodes if node.name in names]
