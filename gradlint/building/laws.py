"""Values and laws of parameters, from real tensors or from the samples that the init recorder kept."""

import math
from collections.abc import Collection, Mapping
from functools import lru_cache

import torch
from torch import nn

from gradlint.building.built import BuiltModel, ParameterValues
from gradlint.building.describe import first_names, further_names
from gradlint.core.graph import GraphView, Law, ParameterInfo

SAMPLE = 2048
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def real_values(tensor: torch.Tensor, kind: str) -> ParameterValues:
    """Values of a real parameter or buffer. `sample` is all of it, or 2,048 elements drawn with a fixed seed.

    A complex tensor's sample holds real and imaginary parts.
    """
    with torch.no_grad():
        flat = _parts(tensor.detach()).reshape(-1)
        if flat.numel() > SAMPLE:
            flat = flat[_drawn(flat.numel()).to(flat.device)]
        return ParameterValues(tuple(tensor.shape), tensor.detach(), flat.to("cpu", torch.float64), kind)


def _parts(tensor: torch.Tensor) -> torch.Tensor:
    """A complex tensor as one that holds its real and imaginary parts; any other as it is."""
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


@lru_cache(maxsize=256)
def _drawn(numel: int) -> torch.Tensor:  # [2048]
    return torch.randint(numel, (SAMPLE,), generator=torch.Generator().manual_seed(numel))


def law_of(values: ParameterValues, *, unit_dim: int = 0) -> Law:
    """The law of one parameter (of the parts of a complex one); `unit_dim` counts its output units."""
    tensor = values.values
    data = values.sample if tensor is None else tensor
    if data.numel() == 0:
        return Law(values.kind, 0.0, 0.0, 0.0, 0.0)
    with torch.no_grad():
        data = _parts(data.detach())
        wide = data.double() if data.numel() <= 1_000_000 or not data.is_floating_point() else data.float()
        mean = wide.mean().item()
        std = wide.std(correction=0).item()
        low, high = (end.item() for end in wide.aminmax())
        finite = (math.isfinite(mean) and math.isfinite(std)) or bool(torch.isfinite(wide).all())
        kind = _kind(values.kind, low, high, std)
        return Law(kind, mean, std, low, high, finite, _equal_rows(values, kind, unit_dim))


def _kind(kind: str, low: float, high: float, std: float) -> str:
    if low == high:
        return "zeros" if low == 0 else "constant"
    return "values" if kind in ("zeros", "constant") and std > 0 else kind


def _equal_rows(values: ParameterValues, kind: str, unit_dim: int) -> bool:
    """Whether all output units have the same weights."""
    if len(values.shape) < 2 or values.shape[unit_dim] < 2:
        return False
    if kind in ("zeros", "constant"):
        return True
    if values.values is None:
        return False
    rows = values.values.transpose(0, unit_dim)
    return bool((rows[0] == rows[1]).all()) and bool((rows == rows[:1]).all())


def parameter_infos(
    built: BuiltModel, graph_view: GraphView | None, reachable: Collection[str], used: Collection[str]
) -> dict[str, ParameterInfo]:
    """Every parameter with its law, keyed by dotted name.

    Args:
        built: the model.
        graph_view: the executed graph, or None where there is none (then every parameter counts as used and reachable).
        reachable: names of parameters that a gradient from the outputs can reach.
        used: names of parameters that the forward pass read.
    """
    aliases = further_names(built.model)
    owners = _owners(built.model)
    infos: dict[str, ParameterInfo] = {}
    for name, parameter in built.model.named_parameters():
        path, owner = owners[name]
        unit_dim = 1 if isinstance(owner, _TRANSPOSED) and parameter.dim() > 1 else 0
        module = built.modules.get(path)
        site = built.parameter_sites.get(name) or (module.sites[0] if module and module.sites else None)
        every = {name, *aliases.get(name, ())}
        infos[name] = ParameterInfo(
            name=name,
            shape=tuple(parameter.shape),
            law=law_of(built.values[name], unit_dim=unit_dim),
            module=path,
            site=site,
            requires_grad=parameter.requires_grad,
            reachable=graph_view is None or not every.isdisjoint(reachable),
            used=graph_view is None or not every.isdisjoint(used),
            aliases=aliases.get(name, ()),
        )
    return infos


def _owners(model: nn.Module) -> Mapping[str, tuple[str, nn.Module]]:
    """The module that a parameter's first name belongs to."""
    names = first_names(model)
    owners: dict[str, tuple[str, nn.Module]] = {}
    for path, module in model.named_modules():
        for tensor in module._parameters.values():
            if tensor is not None:
                owners.setdefault(names[id(tensor)], (path, module))
    return owners


def read_values(model: nn.Module, kinds: Mapping[int, str]) -> dict[str, ParameterValues]:
    """Values of all parameters and buffers of a real model, by first dotted name.

    Args:
        model: the model.
        kinds: storage pointer → kind of the call that filled it, as far as that is known.
    """
    found: dict[str, ParameterValues] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if type(tensor).__name__ in ("UninitializedParameter", "UninitializedBuffer"):
            continue
        if tensor.layout is torch.strided:
            found[name] = real_values(tensor, kinds.get(tensor.untyped_storage().data_ptr(), "values"))
        else:  # a sparse one has no storage of its own
            found[name] = real_values(tensor.detach().to_dense(), "values")
    return found
