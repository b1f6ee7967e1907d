"""What the configuration makes of findings: severities, `per-file-ignores`, `[[tool.gradlint.overrides]]`."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

from gradlint.config import Config, place_of
from gradlint.core.entries import OverrideEntry
from gradlint.core.finding import Finding, Severity
from gradlint.core.location import Location, Site
from gradlint.core.report import SilencedBy, Suppressed
from gradlint.gate.patterns import Pattern
from gradlint.registry import OWN, UNUSED_IGNORE, Selection, is_meant


@dataclass(frozen=True, slots=True)
class Settled:
    """What is left of one file's findings, what was silenced, and the overrides (by number) that were of use."""

    findings: tuple[Finding, ...]
    suppressed: tuple[Suppressed, ...]
    used: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Override:
    entry: OverrideEntry
    code: str
    pattern: Pattern | None

    def means_file(self, path: str) -> bool:
        return self.pattern is None or self.pattern.means(path)

    def _means_model(self, finding: Finding, paths: Iterable[str]) -> bool:
        wanted = self.entry.model
        return (wanted is None or fnmatchcase(finding.model, wanted)) and any(map(self.means_file, paths))

    def means(self, finding: Finding, paths: Iterable[str]) -> bool:
        wanted = self.entry.module
        is_there = wanted is None or fnmatchcase(finding.module, wanted)
        return finding.code == self.code and is_there and self._means_model(finding, paths)

    def means_consequence(self, finding: Finding, paths: Iterable[str]) -> bool:
        """Whether what it means is explained by another finding now: it silences nothing, yet is not idle either."""
        return self.code in finding.consequences and self._means_model(finding, paths)


class Configured:
    """The configuration's say in what counts, made ready once for a run."""

    def __init__(self, config: Config, selection: Selection) -> None:
        self._config, self._selection = config, selection
        self._ignores = [
            (text, Pattern(text, config.root, place_of(config, text, within="per-file-ignores")), selectors)
            for text, selectors in config.per_file_ignores.items()
        ]
        self._overrides = [self._override(number, entry) for number, entry in enumerate(config.overrides)]

    def _override(self, number: int, entry: OverrideEntry) -> _Override:
        codes = {label.lower(): code for code, name in self._selection.names.items() for label in (code, name)}
        where = place_of(self._config, "overrides", index=number)
        pattern = None if entry.path is None else Pattern(entry.path, self._config.root, where)
        return _Override(entry, codes[entry.rule.lower()], pattern)

    def settle(self, findings: Iterable[Finding], path: str) -> Settled:
        """Split the findings in models of the file `path`. Of several overrides that mean a finding the first holds."""
        kept: list[Finding] = []
        suppressed: list[Suppressed] = []
        used: set[int] = set()
        for finding in findings:
            paths = {path, *(site.location.path for site in finding.sites)}
            pattern = self._ignored_by(finding, paths)
            if pattern:
                suppressed.append(Suppressed(finding, f'"{pattern}"', SilencedBy.PER_FILE_IGNORES))
                continue
            meant = [number for number, override in enumerate(self._overrides) if override.means(finding, paths)]
            used.update(meant)
            used.update(n for n, override in enumerate(self._overrides) if override.means_consequence(finding, paths))
            entry = self._overrides[meant[0]].entry if meant else None
            if entry is None:
                kept.append(finding)
            elif entry.severity == "off":
                suppressed.append(Suppressed(finding, entry.reason, SilencedBy.OVERRIDE))
            else:
                note = f"{finding.severity.value} made {entry.severity} by the configuration: {entry.reason}"
                kept.append(replace(finding, severity=Severity(entry.severity), notes=(*finding.notes, note)))
        return Settled(tuple(kept), tuple(suppressed), frozenset(used))

    def idle(self, used: Collection[int], is_known: Callable[[Callable[[str], bool]], bool]) -> tuple[Finding, ...]:
        """GL002 for each override that was of no use.

        Args:
            used: numbers of the overrides that were.
            is_known: whether every file that is meant (by absolute path) was looked at as a whole, so that it shows.
        """
        found = ((finding, means) for number, finding, means in self.complaints() if number not in used)
        return tuple(finding for finding, means in found if is_known(means))

    def complaints(self) -> Iterator[tuple[int, Finding, Callable[[str], bool]]]:
        """For each override of a rule that ran its number, GL002 in case it is idle, and which files it means."""
        codes = self._selection.codes
        for number, override in enumerate(self._overrides):
            if UNUSED_IGNORE[0] in codes and override.code in codes:
                complaint = graded(self._complaint(number, override.entry), self._selection)
                yield number, complaint, override.means_file

    def _ignored_by(self, finding: Finding, paths: Iterable[str]) -> str:
        """The pattern of `per-file-ignores` that silences a finding, or an empty string."""
        for text, pattern, selectors in self._ignores:
            if is_meant(finding.code, self._selection.names, selectors) and any(map(pattern.means, paths)):
                return text
        return ""

    def _complaint(self, number: int, entry: OverrideEntry) -> Finding:
        code, name = UNUSED_IGNORE
        given = {"path": entry.path, "model": entry.model, "module": entry.module}
        about = ", ".join(f'{key} "{value}"' for key, value in given.items() if value is not None)
        message = f"the override of {entry.rule} ({about}) fits no finding"
        where = place_of(self._config, "overrides", index=number) or Location(
            self._config.origins.get("overrides", "configuration"), 1
        )
        return Finding(code, name, Severity.WARNING, message, (Site(where, "remove the entry, or mend it"),))


def graded(finding: Finding, selection: Selection) -> Finding:
    """A finding of the engine itself, with the severity that the configuration gives its code; others have theirs."""
    if finding.code not in dict(OWN):
        return finding
    return replace(finding, severity=selection.severities.get(finding.code, finding.severity))
