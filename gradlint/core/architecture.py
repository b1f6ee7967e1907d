"""What a model is made of, in figures that two revisions of it can be compared by."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ModuleLoss:
    """One module that owns parameters, and what the gradient loses on its way back to it."""

    path: str
    class_name: str
    attenuation: float | None
    """Decades; None where it is not known, or where nothing arrives."""
    is_reached: bool = True
    """False where no gradient arrives at all."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """Counts of one model."""

    layers: dict[str, int] = field(default_factory=dict)
    """Modules that compute something themselves, by class; an instance that is used several times counts once."""
    depth: int = 0
    """Most layers with weights in a row on any way from the inputs to the outputs; a loop counts at each turn."""
    skips: int = 0
    """Places where two ways of different depth meet again."""
    norms: int = 0
    """Normalisations that are carried out."""
    activations: dict[str, int] = field(default_factory=dict)
    """Nonlinearities that are applied, by name."""
    modules: tuple[ModuleLoss, ...] = ()
    """Modules that own parameters and are called, in the order of their construction."""

    @property
    def size(self) -> int:
        """Number of layers."""
        return sum(self.layers.values())
