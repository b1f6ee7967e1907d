"""Weights that hold NaN or infinities: nothing can be predicted of them."""

import torch

from gradlint.building.built import BuiltModel
from gradlint.core.errors import AnalysisError


def require_finite(built: BuiltModel) -> None:
    """Raise AnalysisError (stage "build") at the first parameter that holds NaN or an infinity."""
    for name, _ in built.model.named_parameters():
        known = built.values.get(name)
        if known is None:
            continue
        elements = (known.values if known.values is not None else known.sample).detach()
        finite = torch.isfinite(elements)
        if bool(finite.all()):
            continue
        what = "NaN" if bool(torch.isnan(elements).any()) else "infinite values"
        bad = elements.numel() - int(finite.sum())
        path = name.rpartition(".")[0]
        module = built.modules.get(path)
        made = module.sites[0] if module is not None and module.sites else built.class_location
        raise AnalysisError(
            f"the parameter {name} holds {what} ({bad:,} of {elements.numel():,} elements), so no gradient is defined",
            stage="build",
            location=built.parameter_sites.get(name) or made,
            remedy=f"initialise it, as in torch.nn.init.normal_(self.{name}, std=0.02)",
        )
