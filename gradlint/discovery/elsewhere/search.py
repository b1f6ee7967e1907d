"""Where other files of the repository build the models of one file, and what they are fed with there."""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from gradlint.discovery.elsewhere.documents import Document, parsed
from gradlint.discovery.elsewhere.facts import FactFinder
from gradlint.discovery.elsewhere.imports import Resolver, chain_of
from gradlint.discovery.elsewhere.parameters import presets
from gradlint.discovery.elsewhere.preference import preference
from gradlint.discovery.elsewhere.repository import Bounds, Repository
from gradlint.discovery.elsewhere.translate import MARK, Marker, OtherNotebook, Translator
from gradlint.discovery.following import follow_file
from gradlint.discovery.values import Construction

_ENOUGH = 6
"""Different ways to build a model after which no further ones are looked for."""


def constructions_elsewhere(
    path: str, names: Sequence[str], bounds: Bounds | None = None
) -> dict[str, list[Construction]]:
    """Calls of classes and factories of one file in the other files of its repository.

    An argument is known that is a literal, or an expression over what the file itself defines or imports. The best
    calls come first: training scripts, tests, examples, then others; what is near before what is far; those of which
    only some arguments are known (`Construction.is_whole`) after all others.

    Args:
        path: the file that defines them.
        names: classes and factories of it.
        bounds: what the search may cost.
    """
    repository = Repository(Path(path).resolve(), bounds)
    resolver = Resolver(repository)
    found: dict[str, list[Construction]] = {name: [] for name in names}
    word = re.compile(rf"\b({'|'.join(map(re.escape, names))})\b")
    for other in sorted(repository.files, key=lambda file: preference(file, repository)):
        if repository.exhausted or all(_is_enough(made) for made in found.values()):
            break
        document = repository.document(other)
        if document is not None and word.search(document.code):
            for made in _in_file(other, document, tuple(names), resolver):
                found[made.candidate].append(made)
    return {name: _different(made) for name, made in found.items()}


def _is_enough(made: list[Construction]) -> bool:
    return sum(construction.is_whole for construction in _different(made)) >= _ENOUGH


def _different(made: list[Construction]) -> list[Construction]:
    """Each way to build a model once, with the inputs of the first of its kind that is fed."""
    kinds: dict[str, list[Construction]] = {}
    for construction in made:
        kinds.setdefault(repr((construction.args, construction.kwargs)), []).append(construction)
    return sorted((_with_inputs(alike) for alike in kinds.values()), key=lambda made: not made.is_whole)


def _with_inputs(alike: list[Construction]) -> Construction:
    fed = next((construction for construction in alike if construction.inputs is not None), None)
    return alike[0] if fed is None else replace(alike[0], inputs=fed.inputs, fed_at=fed.fed_at, fed_place=fed.fed_place)


def _in_file(path: Path, document: Document, names: tuple[str, ...], resolver: Resolver) -> Iterator[Construction]:
    """Constructions in one other file: those that are fed first."""
    tree = parsed(document.code)
    if tree is None:
        return
    checked = resolver.repository.path
    bare = frozenset(name for name in names if document.is_prose and _is_unique(name, resolver))
    if not bare and not _leads_there(tree, path, frozenset(names), resolver):
        return
    marker = Marker(path, checked, resolver, bare)
    marked = marker.visit(tree)
    assert isinstance(marked, ast.Module)
    if not marker.found & set(names):
        return
    finder = FactFinder(path, marked, resolver)
    translator = Translator(path, checked, resolver)
    notebook = OtherNotebook(path, marked, names, translator)
    notebook.facts, notebook.presets = finder.facts, presets(finder)
    for records in (False, True):
        follow_file(marked, notebook, records=records, sole="")
    shown = resolver.repository.shown(path)
    known = [made for made in notebook.constructions if made.args is not None]
    for made in sorted(known, key=lambda made: made.inputs is None):
        inputs = translator.inputs(made.inputs)
        yield Construction(
            made.candidate.removeprefix(MARK),
            made.line,
            made.args,
            made.kwargs,
            inputs=inputs,
            fed_at=made.fed_at if inputs is not None else 0,
            place=document.place(shown, made.line),
            fed_place=document.place(shown, made.fed_at) if inputs is not None else "",
        )


def _leads_there(tree: ast.Module, path: Path, names: frozenset[str], resolver: Resolver) -> bool:
    """Whether a file names one of the checked ones at all: cheaper to know than what all of its names stand for."""
    bindings = resolver.bindings(path)
    imports = bindings.imports if bindings is not None else {}
    for chain in sorted({chain for node in ast.walk(tree) if (chain := chain_of(node))}):
        mentioned = names.intersection(chain).union(*(names.intersection(i.parts) for i in imports.get(chain[0], ())))
        origin = resolver.resolve(path, chain) if mentioned else None
        if origin is not None and origin.path == resolver.repository.path and origin.name in names:
            return True
    return False


def _is_unique(name: str, resolver: Resolver) -> bool:
    """Whether the checked file alone, of the whole repository, defines a name."""
    repository = resolver.repository
    defines = re.compile(rf"^(class|def) {re.escape(name)}\b", re.MULTILINE)
    others = (path for path in repository.files if path.suffix == ".py" and path != repository.path)
    return not any((found := repository.document(path)) is not None and defines.search(found.code) for path in others)
