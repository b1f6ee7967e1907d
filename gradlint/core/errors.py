"""Errors are values with a place and a remedy."""

from gradlint.core.location import Location


class GradlintError(Exception):
    """Anything gradlint has to tell its user instead of a traceback; leads to exit code 2.

    Args:
        message: what went wrong, naming what was expected.
        location: file and line, where there is one.
        remedy: the one line that would help.
    """

    def __init__(self, message: str, *, location: Location | None = None, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.location = location
        self.remedy = remedy


class UsageError(GradlintError):
    """A path, flag, selector or configuration that cannot be meant."""


class AnalysisError(GradlintError):
    """A model that cannot be analysed; becomes a GL001 finding. `stage` is "import", "build", "feed", "trace" …"""

    def __init__(self, message: str, *, stage: str, location: Location | None = None, remedy: str = "") -> None:
        super().__init__(message, location=location, remedy=remedy)
        self.stage = stage


class ValuesNeededError(AnalysisError):
    """A forward pass that depends on values which a model built without memory does not have."""


class UnknownArgumentsError(AnalysisError):
    """A model whose constructor takes arguments that nobody has said; `missing` names them."""

    def __init__(self, message: str, missing: tuple[str, ...], *, location: Location, remedy: str) -> None:
        super().__init__(message, stage="build", location=location, remedy=remedy)
        self.missing = missing


class NothingToTrainError(AnalysisError):
    """A module without parameters whose forward runs on no input that was tried: no model, so no failure either."""


class UncomputedArgumentsError(AnalysisError):
    """A model that its file builds with arguments which cannot be computed here; `names` are their parameters, `why`
    is what computing them raised."""

    def __init__(self, error: AnalysisError, names: tuple[str, ...], why: str) -> None:
        super().__init__(error.message, stage="build", location=error.location, remedy=error.remedy)
        self.names = names
        self.why = why
