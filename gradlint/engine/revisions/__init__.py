"""Two revisions of a repository, checked side by side. Nothing of the user's tree, index or settings is touched."""

from gradlint.engine.revisions.compare import diff
from gradlint.engine.revisions.since import check_since

__all__ = ["check_since", "diff"]
