"""How other files of a repository build and feed the models of one of its files. Nothing is imported or run."""

from gradlint.discovery.elsewhere.dependents import Dependents, dependents_of
from gradlint.discovery.elsewhere.repository import Bounds
from gradlint.discovery.elsewhere.search import constructions_elsewhere

__all__ = ["Bounds", "Dependents", "constructions_elsewhere", "dependents_of"]
