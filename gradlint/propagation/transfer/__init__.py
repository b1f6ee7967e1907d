"""Transfer rules by operator family, in one plain dictionary."""

from gradlint.propagation.engine import Transfer
from gradlint.propagation.transfer import (
    attention,
    contraction,
    elementwise,
    joining,
    layout,
    lookup,
    normalisation,
    pooling,
    products,
    reduction,
)

TRANSFER: dict[str, Transfer] = {
    **elementwise.RULES,
    **contraction.RULES,
    **normalisation.RULES,
    **reduction.RULES,
    **pooling.RULES,
    **attention.RULES,
    **products.RULES,
    **layout.RULES,
    **joining.RULES,
    **lookup.RULES,
}
"""Canonical operator name → transfer rule."""
