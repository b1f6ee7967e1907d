"""ModelGraph → Flow: the signal-propagation engine."""

from gradlint.propagation.propagate import propagate, what_if

__all__ = ["propagate", "what_if"]
