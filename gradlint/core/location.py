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
    cell: int | None = None
    """Of a notebook in a report: number of the cell, in which the line is counted. In a run lines are those of all code
    cells together."""
    row: int | None = None
    """Of a notebook in a report: line of its file, which is JSON, where that is known."""

    @property
    def file(self) -> str:
        """The file, and the cell of a notebook: `model.ipynb:cell 3`."""
        return file_of(self.path, self.cell)


def file_of(path: str, cell: int | None) -> str:
    """A path, and the cell of a notebook."""
    return path if cell is None else f"{path}:cell {cell}"


@dataclass(frozen=True, slots=True)
class Site:
    """A location together with the label that the report prints under it."""

    location: Location
    label: str = ""
