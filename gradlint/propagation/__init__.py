"""ModelGraph → Flow: the signal-propagation engine."""

from gradlint.propagation.propagate import propagate, what_if
from gradlint.propagation.tangents import tangents

__all__ = ["propagate", "tangents", "what_if"]
