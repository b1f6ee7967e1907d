"""`# gradlint: ignore[CODE] reason`: which findings a comment silences, and which comments silence nothing."""

import io
import re
import tokenize
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradlint.config import nearest
from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import Suppressed
from gradlint.gate.classes import bases_of
from gradlint.registry import UNUSED_IGNORE

_COMMENT = re.compile(r"#\s*gradlint\s*:\s*(?P<verb>[\w-]*)\s*(?:\[(?P<selectors>[^\]]*)\])?\s*(?P<reason>.*)")
_EXAMPLE = "# gradlint: ignore[GL101] why it is meant"


@dataclass(frozen=True, slots=True)
class Ignore:
    """One comment. It covers the statement it stands in or, alone on its line, the statement below."""

    location: Location
    verb: str
    selectors: tuple[str, ...]
    reason: str
    first: int = 0
    last: int = 0

    @property
    def covers_file(self) -> bool:
        """Whether it is a `file-ignore`."""
        return self.verb == "file-ignore"

    def covers(self, location: Location) -> bool:
        """Whether a place lies in the lines that it speaks for."""
        here = location.path == self.location.path
        return here and (self.covers_file or self.first <= location.line <= self.last)

    def names(self, finding: Finding) -> str:
        """The selector by which it means a finding, or an empty string."""
        return next((selector for selector in self.selectors if _means(selector, finding.code, finding.name)), "")


@dataclass(frozen=True, slots=True)
class Gated:
    """What is left of the findings, and what was silenced."""

    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...]
    heeded: frozenset[tuple[str, int]] = frozenset()
    """Path and line of the comments of other files that silenced something, or would have."""


def read_ignores(path: str, source: str) -> tuple[Ignore, ...]:
    """All `# gradlint: …` comments of a file; a file that does not tokenize gives those before the error."""
    if "gradlint" not in source:
        return ()
    found: list[Ignore] = []
    waiting: list[Ignore] = []
    first = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                waiting.extend(_parse(path, token))
            elif token.type == tokenize.NEWLINE:
                last = token.start[0]
                found.extend(replace(comment, first=first or last, last=last) for comment in waiting)
                waiting, first = [], 0
            elif not first and token.type not in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
                first = token.start[0]
    except (tokenize.TokenError, SyntaxError):
        pass  # the engine has reported the syntax error; comments before it still hold
    return (*found, *waiting)


def apply(
    findings: Sequence[Finding],
    path: str,
    source_of: Callable[[str], str],
    *,
    names: Mapping[str, str],
    judged: Collection[str],
    class_sites: Mapping[str, Location],
) -> Gated:
    """Split one file's findings into those that stand and those that a comment silences, and report idle comments.

    Args:
        findings: what was found in models of the file `path`; their sites may lie in other files.
        path: the checked file.
        source_of: text of a file, empty where it cannot be read.
        names: name of each known rule code.
        judged: codes whose comments may be called unused: rules that ran over all models of the file.
        class_sites: class line of each model. That of a class of the same file that it is built on counts as well,
            for what is found in lines of that class.
    """
    source = source_of(path)
    places = {path: read_ignores(path, source)}
    bases = {model: bases_of(path, source, model) for model in class_sites} if places[path] else {}
    used: set[tuple[Ignore, str]] = set()
    kept: list[Finding] = []
    suppressed: list[Suppressed] = []
    for finding in findings:
        sites = [site.location for site in finding.sites]
        if finding.model in class_sites:
            above = [span.head for span in bases.get(finding.model, ()) if any(map(span.holds, sites))]
            sites += [class_sites[finding.model], *above]
        for other in {site.path for site in sites} - places.keys():
            places[other] = read_ignores(other, source_of(other))
        covering = [ignore for site in sites for ignore in places[site.path] if ignore.covers(site)]
        used.update((ignore, selector) for ignore in covering for selector in _consequential(ignore, finding, names))
        hits = [(ignore, ignore.names(finding)) for ignore in covering if ignore.names(finding)]
        used.update(hits)
        if hits:
            suppressed.append(Suppressed(finding, hits[0][0].reason))
        else:
            kept.append(finding)
    idle = _idle(places[path], used, names, judged) if UNUSED_IGNORE[0] in judged else ()
    elsewhere = (ignore.location for ignore, _ in used if ignore.location.path != path)
    heeded = frozenset((location.path, location.line) for location in elsewhere)
    return Gated((*kept, *idle), tuple(suppressed), heeded)


def _parse(path: str, token: tokenize.TokenInfo) -> Iterable[Ignore]:
    match = _COMMENT.match(token.string)
    if match:
        line, column = token.start[0], token.start[1] + 1
        where = Location(path, line, column, column + len(token.string.rstrip()))
        selectors = tuple(part.strip() for part in (match["selectors"] or "").split(",") if part.strip())
        yield Ignore(where, match["verb"], selectors, match["reason"].strip())


def _means(selector: str, code: str, name: str) -> bool:
    return selector.upper() == code or selector.lower() == name


def _consequential(ignore: Ignore, finding: Finding, names: Mapping[str, str]) -> list[str]:
    """Selectors that mean a consequence of the finding: they silence nothing now, yet are not idle either."""
    return [
        selector
        for selector in ignore.selectors
        if any(_means(selector, code, names.get(code, "")) for code in finding.consequences)
    ]


def _idle(
    ignores: Iterable[Ignore], used: Collection[tuple[Ignore, str]], names: Mapping[str, str], judged: Collection[str]
) -> tuple[Finding, ...]:
    findings = []
    for ignore in ignores:
        if any(_means(selector, *UNUSED_IGNORE) for selector in ignore.selectors):
            continue
        if ignore.verb not in ("ignore", "file-ignore"):
            findings.append(_complain(ignore, f'"gradlint: {ignore.verb}" is not understood', f"write `{_EXAMPLE}`"))
        elif not ignore.selectors:
            message = f'"gradlint: {ignore.verb}" silences nothing: it must name the rules'
            findings.append(_complain(ignore, message, f"write `{_EXAMPLE}`"))
        for selector in ignore.selectors:
            known = [code for code, name in names.items() if _means(selector, code, name)]
            if not known:
                close = nearest([*names, *names.values()], selector)
                hint = f'did you mean "{close}"?' if close else "`gradlint rule --all` lists the rules"
                findings.append(
                    _complain(ignore, f'"{selector}" is no rule: ignore takes a whole code or a name', hint)
                )
            elif known[0] in judged and (ignore, selector) not in used:
                message = f"{ignore.verb}[{selector}] silences nothing"
                findings.append(_complain(ignore, message, "remove the comment"))
    return tuple(findings)


def _complain(ignore: Ignore, message: str, hint: str) -> Finding:
    code, name = UNUSED_IGNORE
    return Finding(code, name, Severity.WARNING, message, (Site(ignore.location, hint),))
