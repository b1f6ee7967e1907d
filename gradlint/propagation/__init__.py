"""ModelGraph → Flow: the signal-propagation engine."""

from gradlint.propagation.propagate import Pair, propagate, propagate_both, what_if, what_if_both
from gradlint.propagation.tangents import tangents

__all__ = ["Pair", "propagate", "propagate_both", "tangents", "what_if", "what_if_both"]
