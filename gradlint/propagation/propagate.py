"""`propagate`: predict the flow of a traced model."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, fx

from gradlint.building.built import ParameterValues
from gradlint.core.edit import Edit
from gradlint.core.flow import Flow
from gradlint.propagation import particles as P
from gradlint.propagation.engine import Propagation, is_complex
from gradlint.propagation.inputs import alike
from gradlint.propagation.result import build_flow
from gradlint.propagation.scans import scans
from gradlint.propagation.signal import Signal, modes
from gradlint.propagation.transfer import TRANSFER
from gradlint.propagation.whatif import Editor, NotApplicableError, check_names, edited_values
from gradlint.tracing.model_graph import ModelGraph


class Pair(NamedTuple):
    """Two flows of one model, which differ in their cotangents only."""

    apart: Flow
    """Independent cotangents for all samples."""
    together: Flow
    """All samples have the same cotangents."""


def propagate(graph: ModelGraph, values: Mapping[str, ParameterValues], *, seed: int = 0) -> Flow:
    """Predict activation and gradient RMS of every node, module and parameter.

    Cotangents are independent standard normal numbers on every floating tensor among the outputs.

    Args:
        graph: the executed forward pass.
        values: parameters and buffers, real or as a sample of their law.
        seed: seed of the particles; the prediction moves with it by its sampling error only.
    """
    return _run(Propagation(graph, values, TRANSFER, seed), (False,))[0]


def propagate_both(graph: ModelGraph, values: Mapping[str, ParameterValues], *, seed: int = 0) -> Pair:
    """The same with independent cotangents, and with the same ones for all samples: two ways back from one forward."""
    return Pair(*_run(Propagation(graph, values, TRANSFER, seed), (False, True)))


def what_if(graph: ModelGraph, values: Mapping[str, ParameterValues], edit: Edit, *, seed: int = 0) -> Flow | None:
    """The flow after an edit, all as for `propagate`; None where the edit does not apply to this graph."""
    flows = _edited(graph, values, edit, seed, (False,))
    return flows[0] if flows is not None else None


def what_if_both(graph: ModelGraph, values: Mapping[str, ParameterValues], edit: Edit, *, seed: int = 0) -> Pair | None:
    """Both flows after an edit, as for `propagate_both`."""
    flows = _edited(graph, values, edit, seed, (False, True))
    return Pair(*flows) if flows is not None else None


def _edited(
    graph: ModelGraph, values: Mapping[str, ParameterValues], edit: Edit, seed: int, ways: tuple[bool, ...]
) -> list[Flow] | None:
    try:
        check_names(graph, edit)
        return _run(Propagation(graph, edited_values(values, edit), TRANSFER, seed, Editor(edit)), ways)
    except NotApplicableError:
        return None


def _run(run: Propagation, ways: tuple[bool, ...]) -> list[Flow]:
    """One forward pass, and a backward pass for each of the `ways` (whether samples have the same cotangents)."""
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        try:
            run.forward()
            run.unknown.extend(scans(run.environment))
            flows = []
            for place, together in enumerate(ways, 1):
                run.start_over()
                _backward(run, together=together, again=place < len(ways))
                flows.append(build_flow(run))
            return flows
        finally:
            _release(run)


def _backward(run: Propagation, *, together: bool, again: bool) -> None:
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
        torch.autograd.backward(torch.stack(parts).sum(), retain_graph=again)


def _release(run: Propagation) -> None:
    """Let go of all particles: backward functions hold the run, which holds what they made, and gc cannot see that."""
    for held in (run.environment, run.branches, run.leaves, run.elementwise, run.seen, run.folded):
        held.clear()
    run.start_over()
    run.repeats.clear()


def _outputs(run: Propagation) -> list[fx.Node]:
    names = set(run.graph.view.outputs)
    return [node for node in run.graph.graph.nodes if node.name in names]
