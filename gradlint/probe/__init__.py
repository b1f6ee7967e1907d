"""Probe: real forward and backward passes that confirm or refute what was predicted."""

from gradlint.probe.measure import measure
from gradlint.probe.run import Run, measure_run
from gradlint.probe.steps import measure_times

__all__ = ["Run", "measure", "measure_run", "measure_times"]
