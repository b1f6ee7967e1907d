"""Where something stands in a user's source, and what a report says about that place."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Location:
    """A place in a source file. Lines and columns count from 1, as in an editor."""

    path: str
    line: int
    column: int = 1
    end_column: int | None = None
    context: str = ""
    """Qualified name of the enclosing function (`SigmoidMLP.__init__`), empty where there is none."""


@dataclass(frozen=True, slots=True)
class Site:
    """A location together with the label that the report prints under it."""

    location: Location
    label: str = ""
