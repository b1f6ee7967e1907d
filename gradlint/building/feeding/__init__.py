"""Find example inputs for a model that nobody prepared."""

from gradlint.building.feeding.feed import feed

__all__ = ["feed"]
