"""What to try next where a guess does not build or run."""

from dataclasses import dataclass

STAGES = 4


@dataclass(frozen=True, slots=True)
class Variation:
    """What to try next where a guess does not build or run."""

    width: int = 0
    """One width for everything that is a number of channels; 0: each as its name has it."""
    stages: int = STAGES
    equal: bool = False
    """Whether strides come as many as stages."""
    axes: int = 2
    image: int = 224
    count: int = STAGES
    """How many layers, heads or parts there are of a kind of which usually a few are."""
    sibling: int = 0
    """Which of the classes beside the file that could be meant, where there are several."""


VARIATIONS = (
    Variation(),
    Variation(sibling=1),
    Variation(width=64),
    Variation(equal=True),
    Variation(width=64, equal=True),
    Variation(stages=3, equal=True),
    Variation(stages=5),
    Variation(stages=6),
    Variation(image=64),
    Variation(count=2),
    Variation(axes=3, image=64),
    Variation(axes=3, image=64, equal=True),
)
