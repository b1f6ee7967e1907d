"""Paths that settings name: relative to the configuration file that names them, else to where we are."""

from pathlib import Path

from gradlint.config import COMMAND_LINE, ENVIRONMENT, Config, place_of
from gradlint.core.errors import UsageError
from gradlint.gate.baseline import Baseline, read_baseline


def named_path(config: Config, key: str, value: str) -> Path:
    """The path that a setting means."""
    is_in_file = config.origins.get(key, COMMAND_LINE) not in (COMMAND_LINE, ENVIRONMENT)
    return Path(config.root, value) if is_in_file else Path(value)


def baseline_of(config: Config) -> Path | None:
    """The file of known findings, or None; raises UsageError where it can be no file."""
    if not config.baseline:
        return None
    if "\0" in config.baseline:
        raise UsageError(f"baseline: {config.baseline!r} is no path", location=place_of(config, "baseline"))
    return named_path(config, "baseline", config.baseline)


def known_findings(config: Config) -> Baseline | None:
    """The baseline that counts, if any; raises UsageError where there should be one and it cannot be read."""
    place = baseline_of(config)
    return read_baseline(place) if place is not None else None
