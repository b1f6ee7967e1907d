"""The stages of the pipeline, and what becomes of whatever is raised in one of them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gradlint.building.failure import analysis_error
from gradlint.core.errors import AnalysisError
from gradlint.core.location import Location
from gradlint.core.target import Target

OnStage = Callable[[str], None]
DOING = {
    "import": "loading the file",
    "build": "building the model",
    "feed": "looking for example inputs",
    "trace": "tracing the forward pass",
    "propagate": "predicting the flow",
    "rules": "running the rules",
    "probe": "the real backward pass",
}
_OURS = frozenset(["propagate", "rules"])
"""Stages in which no code of the user's runs: whatever is raised there is gradlint's own fault."""


class InternalError(AnalysisError):
    """A mistake of gradlint, not of the user's code."""


@contextmanager
def stage(name: str, target: Target, on_stage: OnStage) -> Iterator[None]:
    """Whatever is raised inside becomes an AnalysisError of that stage; KeyboardInterrupt goes through."""
    on_stage(name)
    try:
        yield
    except AnalysisError:
        raise
    except BaseException as error:
        fallback = Location(target.path, max(1, target.line))
        told = analysis_error(error, stage=name, doing=DOING[name], path=target.path, fallback=fallback)
        if name in _OURS:
            remedy = "this is a mistake in gradlint: please report it with the file"
            raise InternalError(told.message, stage=name, location=told.location, remedy=remedy) from error
        raise told from error
