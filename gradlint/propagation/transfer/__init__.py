"""Transfer rules by operator family, in one plain dictionary."""

from gradlint.propagation.call import Transfer
from gradlint.propagation.transfer import (
    attention,
    batch_norm,
    cells,
    contraction,
    convolution,
    elementwise,
    gating,
    joining,
    layout,
    lookup,
    losses,
    maxima,
    normalisation,
    pooling,
    products,
    quantisation,
    recurrence,
    reduction,
    scattering,
    selection,
)

TRANSFER: dict[str, Transfer] = {
    **elementwise.RULES,
    **gating.RULES,
    **contraction.RULES,
    **convolution.RULES,
    **batch_norm.RULES,
    **normalisation.RULES,
    **reduction.RULES,
    **pooling.RULES,
    **maxima.RULES,
    **attention.RULES,
    **products.RULES,
    **quantisation.RULES,
    **layout.RULES,
    **selection.RULES,
    **joining.RULES,
    **lookup.RULES,
    **losses.RULES,
    **scattering.RULES,
    **recurrence.RULES,
    **cells.RULES,
}
"""Canonical operator name → transfer rule."""
