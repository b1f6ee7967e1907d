"""From a scan to targets: which models to analyse, and how each is built and fed."""

import ast
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gradlint.core.errors import UsageError
from gradlint.core.target import Initialiser, Target, TargetKind
from gradlint.discovery.cells import SUFFIX
from gradlint.discovery.names import is_main_block
from gradlint.discovery.roots import principal
from gradlint.discovery.values import Candidate, Construction, FileScan


def find_targets(
    scan: FileScan, configured: Sequence[Target] = (), *, only: bool = False, parts: bool = False
) -> list[Target]:
    """The models of a file, in order of definition.

    Args:
        scan: what `scan_file` found.
        configured: targets that the user named for this file; what they leave open is filled in from the scan, and a
            name that stands for no model of the scan is taken at its word.
        only: leave out everything that is not configured.
        parts: take in what is only a part of another model.
    """
    named = {target.name for target in configured}
    found = [_fill(target, scan) for target in configured]
    if not only:
        open_ones = [c for c in principal(scan.candidates, parts=parts) if c.name not in named]
        wanted = [c for c in open_ones if _wanted(c, scan, parts=parts)]
        # where a file says of nothing how it is built, a guess is better than nothing
        found += [_target(c, scan) for c in wanted or (() if found else _guessed_at(scan))]
    return sorted(found, key=lambda target: target.line)


def _guessed_at(scan: FileScan) -> list[Candidate]:
    """Classes of which nothing says how they are built; factories instead that ask for less than what they build."""
    classes = principal(scan.classes)
    asks = {candidate.name: len(candidate.required) for candidate in classes}
    factories = [c for c in principal(scan.candidates) if c.kind is TargetKind.FACTORY]
    shorter = [f for f in factories if any(asks.get(name, 0) > len(f.required) for name in f.uses)]
    covered = {name for factory in shorter for name in factory.uses}
    return [candidate for candidate in classes if candidate.name not in covered] + shorter


def parse_target(text: str) -> Target:
    """Read `path.py:Attr` or `pkg.mod:Attr`; nothing is imported to find the module's file.

    Raises:
        UsageError: where the text is neither, or no such file is found.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not all(part.isidentifier() for part in name.split(".")):
        raise UsageError(f"'{text}' is no target: expected path.py:Name or pkg.mod:Name")
    if place.endswith((".py", SUFFIX)) or "/" in place or "\\" in place:
        if not Path(place).is_file():
            raise UsageError(f"no such file: {place}", remedy="name an existing file, as in model.py:Net")
        return Target(path=place, name=name, line=1)
    path = _module_file(place)
    if path is None:
        raise UsageError(f"no module named '{place}' here or on sys.path", remedy="run from the folder that holds it")
    return Target(path=path, name=name, line=1, module=place)


def _module_file(dotted: str) -> str | None:
    relative = Path(*dotted.split("."))
    for folder in ["", *sys.path]:
        for tail in (relative.with_suffix(".py"), relative / "__init__.py"):
            path = Path(folder) / tail
            if path.is_file():
                return str(path)
    return None


def _fill(target: Target, scan: FileScan) -> Target:
    """Complete a configured target with what the scan knows of it."""
    candidate = scan.candidate(target.name)
    if candidate is None:
        return replace(target, path=scan.path, built="configured")
    known = _target(candidate, scan)
    says_arguments = target.args is not None or target.kwargs is not None
    return replace(
        target,
        path=scan.path,
        line=candidate.line,
        kind=candidate.kind,
        args=target.args if says_arguments else known.args,
        kwargs=target.kwargs if says_arguments else known.kwargs,
        inputs=target.inputs if target.inputs is not None else known.inputs,
        inputs_from=target.inputs_from if target.inputs is not None else known.inputs_from,
        unread_feed=0 if target.inputs is not None else known.unread_feed,
        built="configured" if says_arguments else known.built,
        initialisers=known.initialisers,
        uses=candidate.uses,
    )


def _wanted(candidate: Candidate, scan: FileScan, *, parts: bool) -> bool:
    """Factories with required arguments are models only where the file itself calls them with known ones."""
    if candidate.kind is TargetKind.FACTORY:
        return not candidate.required or _harvested(candidate, scan) is not None
    if candidate.kind is TargetKind.INSTANCE:
        return not _stands_for_class(candidate, scan)
    if _only_as_instances(candidate, scan):
        return False
    if parts:
        return True
    if _is_block(candidate, scan):
        return False
    return not candidate.required or bool(candidate.config) or _is_built(candidate, scan) or not candidate.mentioned


def _is_built(candidate: Candidate, scan: FileScan) -> bool:
    """Whether the file calls it anywhere, be it with arguments that cannot be read."""
    return any(made.candidate == candidate.name for made in scan.constructions)


def _is_block(candidate: Candidate, scan: FileScan) -> bool:
    """A class that is handed to the constructor of another model, and never built on its own."""
    made = [c for c in scan.constructions if c.candidate != candidate.name]
    handed = any(candidate.name in _words(value) for c in made for value in (*(c.args or ()), *c.kwargs.values()))
    return handed and _harvested(candidate, scan) is None


def _words(value: object) -> list[str]:
    """Names in an argument that is an expression."""
    text = value.get("expression") if isinstance(value, dict) else None
    return re.findall(r"\w+", text) if isinstance(text, str) else []


def _stands_for_class(instance: Candidate, scan: FileScan) -> bool:
    """`model = Net(3)`, once, is reported under `Net`: its only construction at module level, arguments known."""
    made = [c for c in scan.constructions if c.at_module_level and c.variable == instance.name]
    return any(construction.args is not None and _sole(construction, scan) for construction in made)


def _only_as_instances(candidate: Candidate, scan: FileScan) -> bool:
    """A class built in several ways at module level is reported under the names of its instances."""
    instances = {instance.name for instance in scan.instances}
    made = [
        c for c in scan.constructions if c.candidate == candidate.name and c.at_module_level and c.variable in instances
    ]
    return any(not (construction.args is not None and _sole(construction, scan)) for construction in made)


def _sole(construction: Construction, scan: FileScan) -> bool:
    same = [c for c in scan.constructions if c.candidate == construction.candidate and c.at_module_level]
    return all(_recipe(c) == _recipe(construction) for c in same)


def _recipe(construction: Construction) -> tuple[object, ...]:
    return construction.args, construction.kwargs, [initialiser.code for initialiser in construction.initialisers]


def _harvested(candidate: Candidate, scan: FileScan) -> Construction | None:
    """The construction to imitate: one that is fed first, else the first whose arguments are known."""
    made = [c for c in scan.constructions if c.candidate == candidate.name and c.args is not None]
    fed = [construction for construction in made if construction.inputs is not None]
    return next(iter(fed or made), None)


def _initialisers(candidate: Candidate, construction: Construction | None, scan: FileScan) -> tuple[Initialiser, ...]:
    """What becomes of the weights after the construction to imitate; one made only to be tried leaves them alone."""
    made = [c for c in scan.constructions if c.candidate == candidate.name]
    own = construction.initialisers if construction is not None else ()
    found = own or next((c.initialisers for c in made if c.initialisers), ())
    return (*found, *scan.initialisers.get(candidate.name, ()))


def _is_top_level(initialiser: Initialiser, scan: FileScan) -> bool:
    """Whether building the instance executes the statement anyway."""
    body = scan.tree.body if scan.tree is not None else []
    around = next((s for s in body if s.lineno <= initialiser.line <= (s.end_lineno or s.lineno)), None)
    return around is not None and not is_main_block(around) and not isinstance(around, ast.FunctionDef | ast.ClassDef)


def _target(candidate: Candidate, scan: FileScan) -> Target:
    target = Target(
        scan.path, candidate.name, candidate.line, candidate.kind, optimizer=scan.optimizer, uses=candidate.uses
    )
    if candidate.kind is TargetKind.INSTANCE:
        made = next((c for c in scan.constructions if c.variable == candidate.name and c.at_module_level), None)
        kept = tuple(i for i in _initialisers(candidate, made, scan) if not _is_top_level(i, scan))
        return _fed(replace(target, built="module level", initialisers=kept), made)
    construction = _harvested(candidate, scan)
    target = replace(target, initialisers=_initialisers(candidate, construction, scan))
    if construction is not None:
        built = f"as in {Path(scan.path).name}:{construction.line}"
        built_target = replace(target, args=construction.args, kwargs=construction.kwargs, built=built)
        return _fed(built_target, construction)
    if candidate.config:
        return replace(target, args=({"expression": candidate.config},), kwargs={}, built=f"with {candidate.config}")
    return target


def _fed(target: Target, construction: Construction | None) -> Target:
    """With the inputs that the file itself feeds, where they are known."""
    if construction is None or construction.inputs is None:
        return replace(target, unread_feed=construction.unread_at) if construction is not None else target
    where = f"as in {Path(target.path).name}:{construction.fed_at}"
    return replace(target, inputs=construction.inputs, inputs_from=where)
