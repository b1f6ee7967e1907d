"""Build a target: with real tensors where it is small, without memory where it is large."""

from dataclasses import replace

from torch import nn

from gradlint.building.built import REAL_AT_MOST, BuiltModel
from gradlint.building.construct import construct
from gradlint.building.describe import module_infos, parameter_sites
from gradlint.building.feeding.evaluate import with_values
from gradlint.building.guard import Guard, TooLargeError
from gradlint.building.initialise import initialise
from gradlint.building.laws import read_values
from gradlint.building.live_sites import class_line
from gradlint.building.loading import renew
from gradlint.building.namespace import Namespace
from gradlint.building.offline import NOTE, without_downloads
from gradlint.building.sites import SiteRecorder, recording
from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location
from gradlint.core.target import Target

LARGE = 30_000_000
"""Elements above which a model is built without memory."""
_TAKES_MEMORY = "built without memory: a forward pass with real tensors takes more of it than there is"
_READS_VALUES = "built with real tensors: its {} reads the values of large ones"


def build(target: Target, namespace: Namespace, *, large: int = LARGE) -> BuiltModel:
    """Build the model that a target names.

    Args:
        target: what to build, and with which arguments.
        namespace: the loaded file (`load_module`).
        large: number of elements above which nothing is allocated: parameters become fake tensors, and the law of
            their initialisation is sampled instead.

    Raises:
        AnalysisError: stage "build".
    """
    if namespace.sites is None:
        namespace.sites = SiteRecorder(construct.__code__)
    renew(namespace)
    built = _build_real(target, namespace, Guard(large))
    if built is not None:
        return built
    renew(namespace)
    try:
        return _build_large(target, namespace)
    except AnalysisError as fake_error:
        renew(namespace)
        # a constructor that reads its own large tensors cannot do so with fake ones: real ones, if they fit
        built = _build_real(target, namespace, Guard(REAL_AT_MOST))
        if built is None:
            raise fake_error
        return replace(built, notes=(*built.notes, _READS_VALUES.format("constructor")))


def build_with_values(built: BuiltModel, namespace: Namespace) -> BuiltModel:
    """The same model with real tensors, for a forward pass that asks what they hold (`values_needed`).

    Raises:
        AnalysisError: stage "build".
    """
    assert built.target is not None
    real = build(built.target, namespace, large=REAL_AT_MOST)
    notes = (*real.notes, _READS_VALUES.format("forward pass"))
    return replace(real, built=built.built, doubts=built.doubts, notes=notes)


def build_without_memory(built: BuiltModel, namespace: Namespace) -> BuiltModel | None:
    """The same model without memory, for a forward pass that takes too much; None where it cannot be built so.

    Args:
        built: the model, with real tensors.
        namespace: the loaded file.
    """
    if built.fake_mode is not None or built.target is None:
        return None
    renew(namespace)
    try:
        fake = _build_large(built.target, namespace)
    except AnalysisError:  # its constructor reads values: what the memory did not suffice for is what counts
        return None
    return replace(fake, built=built.built, doubts=built.doubts, notes=(*fake.notes, _TAKES_MEMORY))


def _build_real(target: Target, namespace: Namespace, guard: Guard) -> BuiltModel | None:
    """Build with real tensors; None where that would take more elements than the guard allows."""
    assert namespace.sites is not None
    try:
        with recording(namespace.sites, guard.count_unseen), without_downloads() as asked, guard:
            model = construct(target, namespace)
            doubts = initialise(model, target, namespace)
    except TooLargeError:
        return None
    except AnalysisError:
        if guard.exceeded:  # the user's code wrapped our exception in one of its own
            return None
        raise
    if guard.exceeded:
        return None
    fed = with_values(target, namespace)
    described = describe(fed, model, namespace, guard.kinds, notes=notes_on(namespace, asked))
    return replace(described, doubts=(*doubts, *namespace.doubts))


def notes_on(namespace: Namespace, asked: list[str]) -> tuple[str, ...]:
    """What the reader of a report should know of how the model came about."""
    said = []
    for state in ("not installed", "not importable here"):
        is_broken = state != "not installed"
        names = sorted({name.partition(".")[0] for name, why in namespace.missing.items() if bool(why) is is_broken})
        said += [f"{state}, and not needed so far: {', '.join(names)}"] if names else []
    return (*said, NOTE) if asked else tuple(said)


def describe(
    target: Target,
    model: nn.Module,
    namespace: Namespace,
    kinds: dict[int, str],
    *,
    notes: tuple[str, ...] = (),
) -> BuiltModel:
    """Everything known of a model that was built with real tensors."""
    if not model.training:
        model.train()
    assert namespace.sites is not None
    chains, registered = namespace.sites.collect(model)
    location = class_location(model, target, namespace)
    return BuiltModel(
        target=target,
        model=model,
        modules=module_infos(model, chains),
        parameter_sites=parameter_sites(model, chains, registered),
        values=read_values(model, kinds),
        built=target.built,
        class_location=location,
        notes=notes,
    )


def class_location(model: nn.Module, target: Target, namespace: Namespace) -> Location:
    """The line that defines the model in the checked file: its class, or the factory or name that stands for it."""
    if type(model).__module__ == namespace.module.__name__:
        place = class_line(type(model))
        return Location(target.path, place.line if place is not None else target.line)
    return Location(target.path, target.line)


def _build_large(target: Target, namespace: Namespace) -> BuiltModel:
    from gradlint.building.large import build_large  # imports torch._dynamo and sympy: a second of CPU

    built = build_large(target, namespace, lambda model: class_location(model, target, namespace))
    return replace(built, target=with_values(target, namespace), notes=(*notes_on(namespace, []), *built.notes))
