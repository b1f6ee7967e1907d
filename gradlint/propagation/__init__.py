"""ModelGraph → Flow: the signal-propagation engine."""

from gradlint.propagation.propagate import propagate

__all__ = ["propagate"]
