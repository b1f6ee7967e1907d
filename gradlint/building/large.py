"""Build a large model without memory: fake parameters, and a sampled law for each."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor

from gradlint.building.built import BuiltModel, ParameterValues
from gradlint.building.construct import construct
from gradlint.building.describe import module_infos, parameter_sites
from gradlint.building.fake import Selective, fake_mode, make_fake
from gradlint.building.initialise import initialise
from gradlint.building.laws import real_values
from gradlint.building.namespace import Namespace
from gradlint.building.offline import NOTE, without_downloads
from gradlint.building.shadow import InitRecorder
from gradlint.building.sites import SiteRecorder, recording
from gradlint.core.location import Location
from gradlint.core.target import Target


def build_large(target: Target, namespace: Namespace, class_location: Callable[[nn.Module], Location]) -> BuiltModel:
    """Build a target with fake tensors for everything of more than a thousand elements.

    Raises:
        AnalysisError: stage "build".
    """
    mode = fake_mode()
    recorder = InitRecorder()
    sites = namespace.sites or SiteRecorder(construct.__code__)
    with (
        recording(sites),
        without_downloads() as asked,
        _sampled_initialisers(recorder),
        Selective(mode, recorder),
        recorder,
    ):
        model = construct(target, namespace)
        doubts = initialise(model, target, namespace)
    values, unknown = _values(model, recorder)
    make_fake(model, mode)
    if not model.training:
        model.train()
    chains, registered = sites.collect(model)
    return BuiltModel(
        target=target,
        model=model,
        modules=module_infos(model, chains),
        parameter_sites=parameter_sites(model, chains, registered),
        values=values,
        fake_mode=mode,
        built=target.built,
        class_location=class_location(model),
        notes=((NOTE,) if asked else ()) + _notes(unknown, recorder),
        doubts=(*doubts, *namespace.doubts),
    )


def _values(model: nn.Module, recorder: InitRecorder) -> tuple[dict[str, ParameterValues], list[str]]:
    """Values of what stayed real, samples of what is fake, and the names of those whose law got lost."""
    found: dict[str, ParameterValues] = {}
    unknown: list[str] = []
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        data = tensor.data
        if not isinstance(data, FakeTensor):
            found[name] = real_values(data, "values")
            continue
        sample = recorder.read(data)
        if sample is None:
            unknown.append(name)
            sample = _assumed(data, recorder)
            found[name] = ParameterValues(tuple(data.shape), None, sample, recorder.kind(data))
        else:
            found[name] = ParameterValues(tuple(data.shape), None, sample.double(), recorder.kind(data))
    return found, unknown


def _assumed(tensor: torch.Tensor, recorder: InitRecorder) -> torch.Tensor:
    """Variance 1 / fan-in, for parameters whose initialisation could not be followed (they are named in the notes)."""
    fan_in = max(tensor.numel() // tensor.shape[0], 1) if tensor.dim() > 1 else max(tensor.numel(), 1)
    return recorder.normal(std=fan_in**-0.5)


def _notes(unknown: list[str], recorder: InitRecorder) -> tuple[str, ...]:
    if not unknown:
        return ()
    operators = ", ".join(sorted(recorder.unknown)) or "none seen"
    return (f"initial law not known, variance 1/fan-in assumed: {', '.join(unknown)} (operators: {operators})",)


@contextmanager
def _sampled_initialisers(recorder: InitRecorder) -> Iterator[None]:
    """Initialisers that loop over the data are replaced, on fake tensors, by their exact law."""
    init: Any = nn.init
    originals = {name: getattr(init, name) for name in ("_no_grad_trunc_normal_", "sparse_")}

    def truncated(
        tensor: torch.Tensor, mean: float, std: float, a: float, b: float, generator: Any = None
    ) -> torch.Tensor:
        if not isinstance(tensor.data, FakeTensor):
            return originals["_no_grad_trunc_normal_"](tensor, mean, std, a, b, generator)  # type: ignore[no-any-return]
        recorder.write(tensor.data, recorder.truncated_normal(mean, std, a, b), "trunc_normal")
        return tensor

    def sparse(tensor: torch.Tensor, sparsity: float, std: float = 0.01, generator: Any = None) -> torch.Tensor:
        if not isinstance(tensor.data, FakeTensor):
            return originals["sparse_"](tensor, sparsity, std, generator)  # type: ignore[no-any-return]
        zeros = min(math.ceil(sparsity * tensor.shape[0]), tensor.shape[0])
        parts = [(recorder.normal(0.0, std), tensor.shape[0] - zeros), (recorder.constant(0.0), zeros)]
        recorder.write(tensor.data, recorder.mixture(parts), "sparse")
        return tensor

    init._no_grad_trunc_normal_ = truncated
    init.sparse_ = sparse
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(init, name, original)
