"""Probe: real forward and backward passes that confirm or refute what was predicted."""

from gradlint.probe.edits import measure_edit
from gradlint.probe.judge import judge
from gradlint.probe.laboratory import ProbeInput
from gradlint.probe.measure import measure
from gradlint.probe.run import Run, measure_run
from gradlint.probe.steps import measure_times

__all__ = ["ProbeInput", "Run", "judge", "measure", "measure_edit", "measure_run", "measure_times"]
