"""Call what a target names, with its arguments, as the user would."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import nn

from gradlint.building.built import GUESSED
from gradlint.building.failure import analysis_error, describe, raised_at
from gradlint.building.guard import TooLargeError
from gradlint.building.guessing import Deferred, Guess, guesses, mended, positional, required, toml
from gradlint.building.namespace import Namespace
from gradlint.building.stubs import MissingPackageError, absent_base, constructing, remedy_for
from gradlint.building.surroundings import as_script, seeded
from gradlint.core.errors import AnalysisError, UncomputedArgumentsError, UnknownArgumentsError
from gradlint.core.location import Location
from gradlint.core.target import Target, TargetKind, Unsaid
from gradlint.core.toml import table, target_entry


def construct(target: Target, namespace: Namespace) -> nn.Module:
    """The model that a target stands for, newly built with a fixed seed.

    Raises:
        AnalysisError: stage "build": the name does not exist, arguments are missing (UnknownArgumentsError) or cannot
            be computed (UncomputedArgumentsError), the constructor raises.
    """
    place = Location(target.path, target.line)
    uncomputed: dict[str, Exception] = {}
    try:
        with as_script(namespace.source_folder(), namespace.folders), seeded():
            is_made = target.kind is TargetKind.INSTANCE
            model = _instance(target, namespace) if is_made else _call(target, namespace, uncomputed)
    except (TooLargeError, KeyboardInterrupt):
        raise
    except BaseException as error:
        doing = f"building {target.name}"
        remedy = _install(error, namespace, target)
        told = analysis_error(error, stage="build", doing=doing, path=target.path, fallback=place, remedy=remedy)
        if uncomputed:
            raise UncomputedArgumentsError(told, tuple(uncomputed), describe(error)) from error
        raise told from error
    if not isinstance(model, nn.Module):
        message = f"{target.name} gives {type(model).__name__}, not an nn.Module"
        remedy = "name a class, a factory or a model"
        if namespace.missing:
            message += f" ({', '.join(why or f'{name} is not installed' for name, why in namespace.missing.items())})"
            remedy = _first_missing(namespace)
        raise AnalysisError(message, stage="build", location=place, remedy=remedy)
    return model


def _install(error: BaseException, namespace: Namespace, target: Target) -> str:
    """What to install, where an error is due to a package that is not there."""
    if isinstance(error, MissingPackageError):
        return error.remedy
    if base := absent_base(vars(namespace.module).get(target.name)):
        return remedy_for(base, namespace.missing.get(base, ""))
    return _first_missing(namespace) if "Missing" in describe(error) and namespace.missing else ""


def _first_missing(namespace: Namespace) -> str:
    name, why = next(iter(namespace.missing.items()))
    return remedy_for(name.partition(".")[0], why)


def _instance(target: Target, namespace: Namespace) -> Any:
    return _lookup(target, namespace)


def _call(target: Target, namespace: Namespace, uncomputed: dict[str, Exception]) -> Any:
    thing = _lookup(target, namespace)
    if isinstance(thing, nn.Module):
        return thing
    missing = _missing(thing, target)
    if missing:
        raise UnknownArgumentsError(
            f"{target.name} needs arguments that are not known: {', '.join(missing)}",
            tuple(missing),
            location=Location(target.path, target.line),
            remedy=_remedy(target, missing),
        )
    names = positional(thing)
    args = [
        _computed(value, namespace, names[place] if place < len(names) else "", uncomputed)
        for place, value in enumerate(target.args or ())
    ]
    kwargs = {name: _computed(value, namespace, name, uncomputed) for name, value in (target.kwargs or {}).items()}
    if uncomputed:
        raise next(iter(uncomputed.values()))
    with constructing():
        return thing(*args, **kwargs)


def _computed(value: Any, namespace: Namespace, name: str, uncomputed: dict[str, Exception]) -> Any:
    """An argument's value; where it cannot be computed here (a file or a package that it needs is not there), the
    parameter's name is noted. A constructor that raises is the user's to hear of."""
    try:
        return argument(value, namespace)
    except TooLargeError:
        raise
    except Exception as error:
        place = raised_at(error, namespace.path)
        if not name or (place is not None and place.context.endswith("__init__")):
            raise
        uncomputed[name] = error
        return None


def _missing(thing: Any, target: Target) -> list[str]:
    """Required parameters that the target leaves open."""
    given = _given(thing, target)
    return [parameter.name for parameter in required(thing) if parameter.name not in given]


def _given(thing: Any, target: Target) -> list[str]:
    """Parameters that the target says."""
    return [*positional(thing)[: len(target.args or ())], *(target.kwargs or {})]


def parameters_of(target: Target, namespace: Namespace) -> tuple[str, ...]:
    """Names of what a target can be given by position."""
    with as_script(namespace.source_folder(), namespace.folders):
        return positional(_lookup(target, namespace))


def guessed(target: Target, namespace: Namespace) -> Iterator[Target]:
    """The target with what it leaves open filled in by guesses, likeliest first."""
    with as_script(namespace.source_folder(), namespace.folders):
        thing = _lookup(target, namespace)
        found = list(guesses(thing, _given(thing, target), namespace))
    yield from (_filled(target, guess) for guess in found)


def guessed_again(target: Target, attempt: Target, error: AnalysisError, namespace: Namespace) -> Iterator[Target]:
    """Further guesses that the failure of an attempt to build the target suggests."""
    cause = error.__cause__
    if cause is None or namespace.stale:  # a statement beside the model failed: no argument could change that
        return
    with as_script(namespace.source_folder(), namespace.folders):
        thing = _lookup(target, namespace)
        said = target.kwargs or {}
        kwargs = {name: value for name, value in (attempt.kwargs or {}).items() if name not in said}
        found = list(mended(thing, kwargs, cause, namespace))
    yield from (_filled(target, guess) for guess in found)


def described_guess(attempt: Target, target: Target) -> str:
    """How a model that was built and run came about: what was asked of a configuration object is known by then.

    What the `target` says is no guess.
    """
    said = target.kwargs or {}
    return (
        GUESSED + Guess({name: value for name, value in (attempt.kwargs or {}).items() if name not in said}).described
    )


def entry_of(attempt: Target) -> str:
    """The configuration that says what was guessed, ready to be corrected."""
    kwargs = table({name: toml(value) for name, value in (attempt.kwargs or {}).items()})
    return target_entry(f"{attempt.path}:{attempt.name}", {"kwargs": kwargs})


def _filled(target: Target, guess: Guess) -> Target:
    kwargs = {**(target.kwargs or {}), **guess.kwargs}
    return replace(target, kwargs=kwargs, built=GUESSED + guess.described)


def _lookup(target: Target, namespace: Namespace) -> Any:
    first, *rest = target.name.split(".")
    namespace.require([first])
    if first not in vars(namespace.module):
        message = f"{target.path} defines no {target.name}"
        place = Location(target.path, target.line)
        raise AnalysisError(message, stage="build", location=place, remedy="name a class, a factory or a model")
    thing = vars(namespace.module)[first]
    for name in rest:
        thing = getattr(thing, name)
    return thing


def argument(value: Any, namespace: Namespace) -> Any:
    """A configured or harvested argument: `{"expression": "Config()"}` is evaluated in the file, others are literal."""
    if isinstance(value, Deferred):
        return value.make()
    if isinstance(value, Unsaid):
        raise LookupError(f"{value.text} is not known before that file is run")
    if isinstance(value, dict):
        if set(value) == {"expression"} and isinstance(value["expression"], str):
            return namespace.evaluate(value["expression"])
        return {key: argument(item, namespace) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(argument(item, namespace) for item in value)
    return value


def _remedy(target: Target, missing: list[str]) -> str:
    """The configuration to paste."""
    entry = target_entry(f"{target.path}:{target.name}", {"kwargs": table(dict.fromkeys(missing, "…"))})
    return f"in pyproject.toml, with the dots filled in:\n{entry}"
