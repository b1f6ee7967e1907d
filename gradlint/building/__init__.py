"""Build a target, without allocating where it is large, and find inputs that it runs on."""

from gradlint.building.adopt import adopt
from gradlint.building.build import LARGE, build, build_with_values, build_without_memory
from gradlint.building.built import BuiltModel, Fed, ParameterValues
from gradlint.building.construct import described_guess, entry_of, guessed, guessed_again, parameters_of
from gradlint.building.feeding import feed
from gradlint.building.laws import law_of, parameter_infos
from gradlint.building.loading import load_module
from gradlint.building.namespace import Namespace

__all__ = [
    "LARGE",
    "BuiltModel",
    "Fed",
    "Namespace",
    "ParameterValues",
    "adopt",
    "build",
    "build_with_values",
    "build_without_memory",
    "described_guess",
    "entry_of",
    "feed",
    "guessed",
    "guessed_again",
    "law_of",
    "load_module",
    "parameter_infos",
    "parameters_of",
]
