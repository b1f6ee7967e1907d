"""Everything noted while the scopes of one file are followed."""

import ast
from collections.abc import Iterable
from dataclasses import replace

from gradlint.core.target import Initialiser, LossUse
from gradlint.discovery.expressions import Arguments, constructor_arguments
from gradlint.discovery.flow_values import LossValue, ModelValue, OutputValue, Value
from gradlint.discovery.initialising import Functions
from gradlint.discovery.literals import Scope
from gradlint.discovery.names import Names
from gradlint.discovery.values import Candidate, Construction


class Notebook:
    """What is known so far of who builds, feeds, initialises and judges what."""

    def __init__(self, path: str, names: Names, candidates: Iterable[Candidate], functions: Functions) -> None:
        self.path = path
        self.names = names
        self.candidates = {candidate.name: candidate for candidate in candidates}
        self.constructions: list[Construction] = []
        self.losses: dict[tuple[int, int], LossUse] = {}
        self.unapplied: dict[tuple[int, int], LossValue] = {}
        self.functions = functions
        self.initialisers: dict[str, tuple[Initialiser, ...]] = {}
        """By candidate: what functions that train do first to a model that they are handed."""
        self.handed: dict[tuple[str, str], set[str]] = {}
        """(function, parameter name or position) → candidates handed to it."""
        self.facts: dict[str, ast.expr | None] = {}
        """What expressions are known to stand for before the file is followed, by their source text."""
        self.presets: dict[str, dict[str, ast.expr | None]] = {}
        """By function: what its parameters are known to be handed."""

    def arguments(self, call: ast.Call, scope: Scope, local: dict[str, ast.expr]) -> Arguments:
        """Constructor arguments of a call, as building can use them."""
        return constructor_arguments(call, scope, local, self.names)

    def hand(self, function: str, key: str, value: Value) -> None:
        """Note that a call passes a model to a function of the file."""
        if isinstance(value, ModelValue):
            self.handed.setdefault((function, key), set()).add(value.candidate)

    def initialised(self, model: ModelValue, initialiser: Initialiser) -> None:
        """Note what happens to the weights of a model after it was built, or handed to a function that trains it."""
        if model.construction is None:
            known = self.initialisers.get(model.candidate, ())
            self.initialisers[model.candidate] = _with(known, initialiser)
        else:
            made = self.constructions[model.construction]
            made = replace(made, initialisers=_with(made.initialisers, initialiser))
            self.constructions[model.construction] = made

    def instance(self, name: str, line: int) -> ModelValue:
        """Note that a module-level name is bound to layers of torch itself: a model of its own name."""
        self.constructions.append(Construction(name, line, None, {}, name, at_module_level=True))
        return ModelValue(name, len(self.constructions) - 1)

    def name(self, model: ModelValue, variable: str) -> None:
        """Note the first name that the result of a construction is bound to."""
        if model.construction is not None and not self.constructions[model.construction].variable:
            self.constructions[model.construction] = replace(self.constructions[model.construction], variable=variable)

    def apply(self, loss: LossValue, call: ast.Call, value: Value) -> None:
        """Note that a loss is computed from a value."""
        self.unapplied.pop((loss.line, loss.column), None)
        output = value if isinstance(value, OutputValue) else OutputValue("")
        key = (call.lineno, call.col_offset + 1)
        known = self.losses.get(key)
        if known is None or not known.model:
            self.losses[key] = LossUse(loss.name, self.path, *key, model=output.candidate, through=output.through)


def _with(known: tuple[Initialiser, ...], new: Initialiser) -> tuple[Initialiser, ...]:
    """A statement that is come by twice is carried out once."""
    return known if any(initialiser.line == new.line for initialiser in known) else (*known, new)
