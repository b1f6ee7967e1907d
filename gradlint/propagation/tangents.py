"""Predict a model's tangent kernel: a second flow, whose cotangents are the same for all samples."""

import math

from gradlint.core.flow import Flow
from gradlint.core.tangents import Tangent, Tangents
from gradlint.propagation.propagate import Pair
from gradlint.tracing.model_graph import ModelGraph


def tangents(graph: ModelGraph, flows: Pair) -> Tangents | None:
    """The kernel between one sample and itself, and between two samples.

    With independent cotangents E‖∇w‖² = B·K·Θ(a, a), with the same ones for all B samples of K outputs each
    B·K·(Θ(a, a) + (B − 1)·Θ(a, b)).

    Args:
        graph: the executed forward pass.
        flows: its flows, or those after an edit.

    Returns:
        None where the outputs do not hold at least two samples along their first dim, or where samples read each other.
    """
    apart, same = flows
    if apart.mixes_samples:
        return None
    shapes = [graph.view.nodes[name].shape or () for name in graph.view.outputs if name in apart.nodes]
    samples = {shape[0] for shape in shapes if shape}
    if len(samples) != 1 or (batch := samples.pop()) < 2:
        return None
    elements = sum(math.prod(shape) for shape in shapes)
    found = {}
    for name, parameter in graph.model.named_parameters():
        first, second = apart.parameter_flows[name].gradient_rms, same.parameter_flows[name].gradient_rms
        if first is None or second is None or not math.isfinite(first) or not math.isfinite(second):
            continue
        count = parameter.numel() / elements
        own = count * first**2
        value = apart.parameter_flows[name].value_rms or 0.0
        found[name] = Tangent(own, (count * second**2 - own) / (batch - 1), first, value)
    return Tangents(found, _variation(graph, apart))


def _variation(graph: ModelGraph, flow: Flow) -> float:
    """RMS over all outputs of what differs between samples."""
    energy = elements = 0.0
    for name in graph.view.outputs:
        node = flow.nodes.get(name)
        if node is not None and node.q is not None and node.s is not None:
            count = math.prod(graph.view.nodes[name].shape or ())
            energy, elements = energy + count * max(0.0, node.q - node.s), elements + count
    return math.sqrt(energy / elements) if elements else 0.0
