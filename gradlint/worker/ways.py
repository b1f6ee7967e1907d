"""Ways to build a target whose own file does not say with which arguments, tried in order."""

from collections.abc import Iterator
from dataclasses import replace

from gradlint import building
from gradlint.building.built import BuiltModel, Doubt, Fed
from gradlint.building.namespace import Namespace
from gradlint.core.errors import AnalysisError, UncomputedArgumentsError, UnknownArgumentsError
from gradlint.core.location import Location
from gradlint.core.target import Target
from gradlint.discovery.elsewhere import constructions_elsewhere
from gradlint.worker.guessing import built_by_guess
from gradlint.worker.stages import InternalError, OnStage, stage

_MOST_TRIED = 3
"""Constructions of other files that are tried: if these do not fit, it is another model that they build."""

_NOWHERE = "no other file of its repository builds it with arguments that can be read"


def built_in_some_way(
    target: Target, namespace: Namespace, *, on_stage: OnStage, because: str = ""
) -> tuple[BuiltModel, Fed | None]:
    """Build a target as it stands; else in the first of the `ways_to_build` that works; else with guessed arguments.

    Args:
        target: the model, as far as its own file and the configuration tell.
        namespace: the loaded file.
        on_stage: told of the stages.
        because: why arguments have to be guessed, where something says them.

    Returns:
        The model, and the inputs that a guess was tried with.

    Raises:
        AnalysisError: stage "build"; of missing arguments with what was tried, where no way works.
    """
    try:
        with stage("build", target, on_stage):
            return building.build(target, namespace), None
    except AnalysisError as error:
        if isinstance(error, UncomputedArgumentsError):
            return _without(error, target, namespace, on_stage=on_stage)
        if isinstance(error, InternalError) or not target.built.startswith(("defaults", "as in ")):
            raise
        unbuilt = error
    is_said = target.built != "defaults"
    is_unsaid = isinstance(unbuilt, UnknownArgumentsError) and target.args is None and target.kwargs is None
    if is_said or is_unsaid:
        found, tried = _as_said_elsewhere(target, namespace, on_stage=on_stage)
        if found is not None:
            return found
        if is_said:  # what the file itself says of its model is what the user wants to hear of
            raise unbuilt
        unbuilt = _told(unbuilt, tried)
    return built_by_guess(target, namespace, unbuilt, on_stage=on_stage, because=because)


def _as_said_elsewhere(
    target: Target, namespace: Namespace, *, on_stage: OnStage
) -> tuple[tuple[BuiltModel, Fed | None] | None, list[str]]:
    """The target in the first way that works; those of which only some arguments can be computed come last."""
    tried: list[str] = []
    partly: list[tuple[Target, UncomputedArgumentsError]] = []
    for way in ways_to_build(target):
        try:
            with stage("build", target, on_stage):
                return (building.build(way, namespace), None), tried
        except UncomputedArgumentsError as error:
            partly.append((way, error))
        except AnalysisError as error:
            tried.append(f"{way.built}: {error.message}")
    for way, uncomputed in partly:
        try:
            return _without(uncomputed, way, namespace, on_stage=on_stage), tried
        except AnalysisError as error:
            tried.append(f"{way.built}: {error.message}")
    return None, tried


def _without(
    error: UncomputedArgumentsError, target: Target, namespace: Namespace, *, on_stage: OnStage
) -> tuple[BuiltModel, Fed | None]:
    """Build a target without the arguments that cannot be computed here, and say so; else raise what they raised."""
    names = building.parameters_of(target, namespace)
    said = {**dict(zip(names, target.args or (), strict=False)), **(target.kwargs or {})}
    kwargs = {name: value for name, value in said.items() if name not in error.names}
    said_at = target.built.removeprefix("as in ")
    because = f"{said_at} gives {', '.join(error.names)}, not to be computed here ({error.why})"
    rest = replace(target, args=None, kwargs=kwargs or None, built="defaults")
    try:
        built, fed = built_in_some_way(rest, namespace, on_stage=on_stage, because=because)
    except AnalysisError:
        raise error from error.__cause__
    if built.built != rest.built:
        return built, fed
    place = error.location or Location(target.path, max(1, target.line))
    return replace(built, doubts=(Doubt(f"{because}: defaults stand in", place, error.remedy), *built.doubts)), fed


def ways_to_build(target: Target) -> Iterator[Target]:
    """The target with arguments that somebody has written down for it, the most trustworthy first.

    Each way carries in `built` where they were found. What comes later is looked for only where all before it has
    failed: another source of arguments is added at the end.
    """
    yield from _as_elsewhere(target)


def _as_elsewhere(target: Target) -> Iterator[Target]:
    """As other files of the repository build it, and with what they feed it."""
    for made in constructions_elsewhere(target.path, [target.name])[target.name][:_MOST_TRIED]:
        way = replace(target, args=made.args, kwargs=made.kwargs, built=f"as in {made.place}")
        is_fed = target.inputs is None and made.inputs is not None
        yield replace(way, inputs=made.inputs, inputs_from=f"as in {made.fed_place}") if is_fed else way


def _told(unbuilt: AnalysisError, tried: list[str]) -> AnalysisError:
    """What is missing, and where it was looked for."""
    if not isinstance(unbuilt, UnknownArgumentsError):
        return unbuilt
    said = f"tried {'; '.join(tried)}" if tried else _NOWHERE
    assert unbuilt.location is not None
    told = UnknownArgumentsError(
        f"{unbuilt.message}; {said}", unbuilt.missing, location=unbuilt.location, remedy=unbuilt.remedy
    )
    told.__cause__ = unbuilt.__cause__
    return told
