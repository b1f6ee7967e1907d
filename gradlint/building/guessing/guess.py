"""Guess the arguments of a constructor or a factory that nobody calls."""

import ast
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch import nn

from gradlint.building.guessing.mends import is_about_nothing, missing_names, named_by, reshaped, said_by
from gradlint.building.guessing.objects import Deferred, GuessedConfig, described
from gradlint.building.guessing.parts import class_for, is_module_class, subclasses_named
from gradlint.building.guessing.signature import positional, required, signature_of
from gradlint.building.namespace import Namespace
from gradlint.discovery.arguments.conventions import ACTIVATION, CONFIG, NORM, PART, WIDTH
from gradlint.discovery.arguments.sizes import size_of, text_of
from gradlint.discovery.arguments.usage import Kind, Usage, annotated, definition_of, literals_of, module_tree, usage_of
from gradlint.discovery.arguments.variations import VARIATIONS, Variation

_NESTED = 3
_PATCH = re.compile(r"(.*_)?patch(_size)?")
_ANY_TEXT = "default"
"""Where nothing says which texts there are: the error often lists them."""
_FIRST_VARIATIONS = (VARIATIONS[0], Variation(width=64))


class UnguessableError(Exception):
    """A parameter of which nothing can be guessed."""


@dataclass(frozen=True, slots=True)
class Guess:
    """One way to fill in what is missing."""

    kwargs: Mapping[str, Any]

    @property
    def described(self) -> str:
        """For people: "dim=256, depth=4"; what was read of a configuration object so far is part of it."""
        return ", ".join(f"{name}={described(value)}" for name, value in self.kwargs.items())


def guesses(thing: Callable[..., Any], given: Sequence[str], namespace: Namespace) -> Iterator[Guess]:
    """Ways to call something, likeliest first; none where a parameter cannot be guessed.

    Args:
        thing: a class or a factory.
        given: names of the parameters that are known already.
        namespace: the loaded file that defines it.
    """
    seen = set()
    for variation in VARIATIONS:
        try:
            guess = _Guesser(thing, namespace, variation, _NESTED).guess(given)
        except UnguessableError:
            return
        if guess.kwargs and guess.described not in seen:
            seen.add(guess.described)
            yield guess


def mended(
    thing: Callable[..., Any], kwargs: Mapping[str, Any], error: BaseException, namespace: Namespace
) -> Iterator[Guess]:
    """Ways to call something that a failed call suggests.

    Args:
        thing: a class or a factory.
        kwargs: what it was called with, as far as it was guessed.
        error: what it raised.
        namespace: the loaded file that defines it.
    """
    yield from _better(thing, kwargs, error, namespace)
    yield from map(Guess, reshaped(kwargs, error))
    for name, value in kwargs.items():
        entries = len(value) if type(value) is list and value else 0
        for better in _better_part(value[0] if entries else value, error, namespace):
            yield Guess({**kwargs, name: [better] * entries if entries else better})


def _better_part(part: Any, error: BaseException, namespace: Namespace) -> Iterator[Deferred]:
    """Other ways to make an argument; none for what is not made."""
    if not isinstance(part, Deferred) or part.owner is None:
        return
    for better in mended(part.owner, part.kwargs, error, namespace):
        yield Deferred.call(part.owner, better.kwargs)
    for subclass in [] if missing_names(error) else subclasses_named(part.owner, named_by(error)):
        yield Deferred.call(subclass, part.kwargs)


def _better(
    thing: Callable[..., Any], kwargs: Mapping[str, Any], error: BaseException, namespace: Namespace
) -> Iterator[Guess]:
    """With further arguments that an error asks for."""
    parameters = {p.name: p for p in signature_of(thing)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    wanted = [name for name in missing_names(error) if name in parameters or (takes_any and name.islower())]
    words = said_by(error) | (named_by(error) if is_about_nothing(error) else frozenset())
    wanted += [name for name, p in parameters.items() if p.default is None and name in words]
    for variation in _FIRST_VARIATIONS:
        guesser = _Guesser(thing, namespace, variation, _NESTED)
        added = {name: guesser.value_or_none(name, parameters.get(name)) for name in wanted if name not in kwargs}
        known = {name: value for name, value in added.items() if value is not None}
        alone = [{name: value} for name, value in known.items()] if len(known) > 1 else []
        yield from (Guess({**kwargs, **way}) for way in (known, *alone) if way)


class _Guesser:
    """Guesses for one callable."""

    def __init__(self, thing: Callable[..., Any], namespace: Namespace, variation: Variation, depth: int) -> None:
        self.thing = thing
        self.namespace = namespace
        self.variation = variation
        self.depth = depth
        self.home: ModuleType = sys.modules.get(getattr(thing, "__module__", ""), namespace.module)
        self.own = {namespace.module.__name__: namespace.tree}
        self.tree = definition_of(thing, self.own)

    def guess(self, given: Sequence[str]) -> Guess:
        """Values for everything that is required and not given."""
        parameters = [p for p in required(self.thing) if p.name not in given]
        return Guess({p.name: self._value(p.name, p.annotation) for p in parameters})

    def value_or_none(self, name: str, parameter: inspect.Parameter | None) -> Any:
        """A value for one parameter; None where it cannot be guessed."""
        try:
            return self._value(name, parameter.annotation if parameter is not None else inspect.Parameter.empty)
        except UnguessableError:
            return None

    def _value(self, name: str, annotation: Any = inspect.Parameter.empty) -> Any:
        literals = literals_of(annotation)
        if literals:
            return literals[0] if isinstance(literals[0], str) else literals[-1]  # of sizes, the whole model's
        return self._unlisted(name, annotation)

    def _unlisted(self, name: str, annotation: Any) -> Any:
        """A value that the annotation does not list."""
        owner = self._annotated_class(annotation)
        if owner is not None:
            return self._made(owner, name)
        entries = self._annotated_entries(annotation)
        if entries is not None:
            return [self._made(entries, name) for _ in range(2)]
        usage = usage_of(name, self.tree, self._positions)
        said = Kind.UNKNOWN if annotation is inspect.Parameter.empty else annotated(annotation)
        kind = usage.kind if said is Kind.UNKNOWN else said
        last = name.rpartition(".")[2]
        if kind in (Kind.OBJECT, Kind.UNKNOWN) and not usage.names and CONFIG.fullmatch(last):
            return self._config(name, usage)
        if kind is Kind.FLAG:
            return False
        if kind is Kind.TEXT:
            return text_of(last, usage) or _ANY_TEXT
        return self._part(name, kind, usage)

    def _part(self, name: str, kind: Kind, usage: Usage) -> Any:
        """A class, a module, or else a number or several."""
        last = name.rpartition(".")[2]
        if kind in (Kind.CALLABLE, Kind.MODULE) or NORM.fullmatch(last) or ACTIVATION.fullmatch(last):
            return self._class(last, usage, kind)
        is_attribute = last != name  # of a configuration: `cfg.model` is no model
        is_part = all(PART.fullmatch(seen) for seen in (last, *usage.names))
        if not is_attribute and kind in (Kind.OBJECT, Kind.UNKNOWN) and is_part:
            return self._class(last, usage, Kind.MODULE)
        if kind is Kind.MODULES:
            raise UnguessableError(name)
        return self._number(name, kind, usage)

    def _number(self, name: str, kind: Kind, usage: Usage) -> Any:
        value = size_of(name, kind, usage, self.variation, self._image)
        return self._config(name, usage) if value is None else value

    def _image(self) -> int:
        """A size that the patches which the constructor has by default divide."""
        defaults = [p.default for p in signature_of(self.thing) if _PATCH.fullmatch(p.name) and type(p.default) is int]
        unit = math.lcm(*(size for size in defaults if 0 < size <= 64))
        return max(unit, self.variation.image // unit * unit)

    def _config(self, name: str, usage: Usage) -> Any:
        """An object with the attributes that the code reads."""
        tree = self.own.get(self.home.__name__) or module_tree(self.home.__name__)  # it is handed on to the parts
        first = name.partition(".")[0]
        reader = copy(self)
        reader.tree = tree
        if usage.choices and not usage.names and all(key.isidentifier() for key in usage.choices):
            return {key: reader._value(f"{first}.{key}") for key in dict.fromkeys(usage.choices)}
        return GuessedConfig(name, tree, reader._value)

    def _class(self, name: str, usage: Usage, kind: Kind) -> Any:
        """A class, or for a module an instance of one."""
        if ACTIVATION.fullmatch(name):
            return nn.ReLU() if kind is Kind.MODULE else nn.ReLU
        if NORM.fullmatch(name):
            return _norm(self.tree, instance=kind is Kind.MODULE)
        found = class_for(name, usage, self.thing, self.home, self.variation.sibling if kind is Kind.MODULE else None)
        if found is None and kind is Kind.MODULE and name in ("transformer", "encoder"):
            return Deferred(_transformer, "nn.TransformerEncoder(…)")
        if found is None:
            raise UnguessableError(name)
        return found if kind is Kind.CALLABLE else self._made(found, name)

    def _annotated_class(self, annotation: Any) -> type | None:
        """The user's own class that an annotation names: a configuration, a part of the model."""
        if isinstance(annotation, str):
            plain = re.sub(r"\s*\|\s*None$|^Optional\[(.*)\]$", r"\1", annotation.strip())
            annotation = vars(self.home).get(plain)
        if not isinstance(annotation, type) or annotation in (nn.Module, inspect.Parameter.empty):
            return None
        known = annotation.__module__.partition(".")[0] in sys.stdlib_module_names | {"torch", "numpy"}
        return None if known or inspect.isabstract(annotation) else annotation

    def _annotated_entries(self, annotation: Any) -> type | None:
        """The user's own class of which an annotation asks for a list: `list[Block]`."""
        match = re.match(r"(?:typing\.)?(?:[Ll]ist|[Ss]equence|[Tt]uple)\[\s*'?([\w.]+)", str(annotation))
        named = None if match is None else vars(self.home).get(match[1].rpartition(".")[2])
        return self._annotated_class(named) if is_module_class(named, self.thing) else None

    def _made(self, owner: type, name: str) -> Deferred:
        if not self.depth:
            raise UnguessableError(name)
        guess = _Guesser(owner, self.namespace, self.variation, self.depth - 1).guess(())
        return Deferred.call(owner, guess.kwargs)

    def _positions(self, function: str) -> tuple[str, ...]:
        """Names of the positional parameters of something that the file knows."""
        if function.startswith("super()"):
            bases = getattr(self.thing, "__mro__", (None, None))[1:2]
            return positional(bases[0])
        return positional(vars(self.home).get(function))


def _transformer() -> nn.Module:
    """A sequence of any length comes out of it as it came in."""
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 8, batch_first=True), 4, enable_nested_tensor=False)


def _norm(tree: ast.AST | None, *, instance: bool) -> Any:
    text = ast.unparse(tree) if tree is not None else ""
    if instance:
        return nn.Identity()
    return nn.BatchNorm2d if "Conv2d" in text or "conv" in text else nn.LayerNorm
