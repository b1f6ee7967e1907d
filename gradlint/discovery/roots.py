"""Which candidates of a file are models of their own, and which are parts of another one."""

from collections.abc import Sequence

from gradlint.core.target import TargetKind
from gradlint.discovery.values import Candidate


def principal(candidates: Sequence[Candidate], *, parts: bool = False) -> list[Candidate]:
    """Candidates that no other one contains, in order of definition; with `parts` also those that one does.

    A class that a runnable subclass replaces is still a model of its own if it can be built without arguments.
    Candidates that use one another in a circle are represented by the last of them.
    """
    reach = {candidate.name: _reach(candidate.name, candidates) for candidate in candidates}
    models = [c for c in candidates if c.runs]
    return [c for c in models if (parts or not _is_part(c, models, reach)) and not _is_bare_wrapper(c, candidates)]


def _parts(candidate: Candidate) -> tuple[str, ...]:
    """Names that a candidate contains: base classes apart, which it is."""
    return tuple(name for name in candidate.uses if name not in candidate.bases)


def _reach(name: str, candidates: Sequence[Candidate]) -> frozenset[str]:
    by_name = {candidate.name: candidate for candidate in candidates}
    seen: set[str] = set()
    queue = [name]
    while queue:
        for part in (*_parts(by_name[current := queue.pop()]), *by_name[current].bases):
            if part in by_name and part not in seen:
                seen.add(part)
                queue.append(part)
    return frozenset(seen)


def _is_part(candidate: Candidate, models: Sequence[Candidate], reach: dict[str, frozenset[str]]) -> bool:
    for other in models:
        if other.name == candidate.name or candidate.name not in reach[other.name]:
            continue
        if other.returns == candidate.name:
            continue  # `def make(): return Net()` and `net = Net(3)` are Net
        circular = other.name in reach[candidate.name]
        if circular and candidate.line > other.line:
            continue
        derived = candidate.name in other.bases and not any(
            candidate.name in _parts(model) for model in models if model.name != candidate.name
        )
        if derived and not candidate.required:
            continue
        return True
    return False


def _is_bare_wrapper(candidate: Candidate, candidates: Sequence[Candidate]) -> bool:
    """A factory that only calls a class without arguments adds nothing to that class."""
    if candidate.kind is not TargetKind.FACTORY or not candidate.returns:
        return False
    returned = next((c for c in candidates if c.name == candidate.returns), None)
    return returned is not None and returned.runs and not returned.required
