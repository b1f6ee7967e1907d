"""Which rules there are and which are on: packs by entry point, selection by code, prefix or name."""

import importlib.metadata
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

from gradlint.api import API_VERSION, Rule
from gradlint.config import Config, did_you_mean, place_of
from gradlint.core.errors import GradlintError, UsageError
from gradlint.core.finding import Severity
from gradlint.core.location import Location

Place = Callable[[], Location | None]

GROUP = "gradlint.rules"
UNANALYSABLE = ("GL001", "unanalysable-model")
UNUSED_IGNORE = ("GL002", "unused-ignore")
STALE_BASELINE = ("GL004", "stale-baseline")
OWN = (UNANALYSABLE, UNUSED_IGNORE, STALE_BASELINE)
"""Findings of the engine itself; a pack only holds their pages."""
_SPOKEN = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
_EXACT = 1_000
"""Specificity of a whole code or a name, above that of any prefix."""


class PluginError(GradlintError):
    """A rule pack that cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Registry:
    """All rules of all packs, ordered by code."""

    rules: tuple[Rule, ...]

    @property
    def names(self) -> dict[str, str]:
        """Name of each code, those of the engine's own findings included."""
        return dict(sorted([*OWN, *((rule.code, rule.name) for rule in self.rules)]))

    def page(self, wanted: str) -> Rule:
        """The rule of that code or name; raises UsageError with "did you mean"."""
        for rule in self.rules:
            if wanted.upper() == rule.code or wanted.lower() == rule.name:
                return rule
        names = [part for rule in self.rules for part in (rule.code, rule.name)]
        raise UsageError(f'there is no rule "{wanted}"', remedy=did_you_mean(names, wanted))


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules that are on; `codes` holds those of the engine's own findings too."""

    rules: tuple[Rule, ...]
    codes: frozenset[str]
    names: Mapping[str, str]
    """Name of each known code, on or off."""
    severities: Mapping[str, Severity] = field(default_factory=dict)
    """What the configuration makes of rules that are on."""


@cache
def load() -> Registry:
    """Load every installed pack, in the order of their entry points' names.

    Raises:
        PluginError: no pack at all, or one that cannot be imported, speaks another API version, or has unfit rules.
    """
    found = {(point.name, point.value): point for point in importlib.metadata.entry_points(group=GROUP)}
    if not found:
        raise PluginError("no rule pack is installed", remedy='install gradlint itself: "pip install torch-gradlint"')
    packs = []
    for (name, value), point in sorted(found.items()):
        try:
            packs.append((name, point.load()))
        except Exception as error:  # a stranger's module may raise anything
            reason = f'the rule pack "{name}" ({value}) cannot be imported: {type(error).__name__}: {error}'
            raise PluginError(reason, remedy="upgrade or uninstall that package") from error
    return assemble(packs)


def assemble(packs: Iterable[tuple[str, Any]]) -> Registry:
    """One registry out of named pack modules, each with `RULES` and `API_VERSION`."""
    rules: list[Rule] = []
    owners: dict[str, str] = {}
    for pack, module in packs:
        for rule in _rules_of(pack, module):
            for label in (rule.code, rule.name):
                if label in owners:
                    raise PluginError(f'the rule packs "{owners[label]}" and "{pack}" both define {label}')
                owners[label] = pack
            rules.append(rule)
    return Registry(tuple(sorted(rules, key=lambda rule: rule.code)))


def _rules_of(pack: str, module: Any) -> list[Rule]:
    version = getattr(module, "API_VERSION", None)
    if version != API_VERSION:
        reason = f'the rule pack "{pack}" is written for API version {version}, this gradlint speaks {API_VERSION}'
        raise PluginError(reason, remedy="upgrade that package or gradlint")
    classes = getattr(module, "RULES", None)
    if not isinstance(classes, tuple):
        raise PluginError(f'the rule pack "{pack}" exposes no tuple `RULES`')
    rules: list[Rule] = []
    for item in classes:
        if not (isinstance(item, type) and issubclass(item, Rule)):
            raise PluginError(f'the rule pack "{pack}": {item!r} in RULES is not a subclass of gradlint.api.Rule')
        missing = [name for name in ("code", "name", "summary") if not isinstance(getattr(item, name, None), str)]
        if missing or getattr(item.check, "__isabstractmethod__", False):
            lacks = ", ".join(missing) or "check"
            raise PluginError(f'the rule pack "{pack}": {item.__name__} does not define {lacks}')
        rules.append(item())
    return rules


def select(registry: Registry, config: Config) -> Selection:
    """The rules that a configuration switches on.

    Stable rules are on unless `select` says otherwise; preview and pedantic ones only when selected by their whole code
    or name. Where `select` and `ignore` both match, the longer selector wins, and `ignore` at a tie; a severity "off"
    is one more `ignore`. GL001 stays on whatever is selected, until it is ignored by name.

    Raises:
        UsageError: a selector or a `[tool.gradlint.rules.<name>]` that fits no rule, or settings that leave no rule on.
    """
    names = registry.names
    _reject_unknown_options(registry, config)
    chosen = [*(config.select or ()), *config.extend_select]
    severities = _severities(names, config)
    ignored = [*config.ignore, *(selector for selector, level in config.severity.items() if level == "off")]
    wanted = {code: _specificity(code, names, chosen) for code in names}
    unwanted = {code: _specificity(code, names, ignored) for code in names}
    for selector in (*chosen, *config.ignore):
        _reject_unknown_selector(selector, names)
    _reject_unknown_elsewhere(names, config)
    levels = {rule.code: rule.level for rule in registry.rules}
    codes = set()
    for code in names:
        base = 1 if config.select is None and levels.get(code, "stable") == "stable" else 0
        needed = 1 if levels.get(code, "stable") == "stable" else _EXACT
        strength = max(base, wanted[code] if wanted[code] >= needed else 0, 1 if code == UNANALYSABLE[0] else 0)
        if strength > unwanted[code]:
            codes.add(code)
    _reject_nothing(config, codes)
    on = tuple(rule for rule in registry.rules if rule.code in codes)
    return Selection(on, frozenset(codes), names, severities)


def is_meant(code: str, names: Mapping[str, str], selectors: Sequence[str]) -> bool:
    """Whether one of the selectors (codes, prefixes, names) means a code."""
    return _specificity(code, names, selectors) > 0


def _severities(names: Mapping[str, str], config: Config) -> dict[str, Severity]:
    """Severity of each code that the configuration gives one; the longer selector wins, the severer one at a tie."""
    found: dict[str, tuple[int, int, Severity]] = {}
    for selector, level in config.severity.items():
        if level == "off":
            continue
        for code in names:
            strength = _specificity(code, names, [selector])
            if strength:
                severity = Severity(level)
                found[code] = max(found.get(code, (0, 0, severity)), (strength, severity.rank, severity))
    return {code: severity for code, (_, _, severity) in found.items()}


def _reject_nothing(config: Config, codes: set[str]) -> None:
    """Raise UsageError where nothing is left to check: that every model is clear would say nothing."""
    if config.select is not None and not config.select and not config.extend_select:
        reason, key, remedy = "no rule is selected: select is empty", "select", "leave it out for all stable rules"
    elif not codes:
        reason, key, remedy = "no rule is selected: every one is ignored", "ignore", "ignore single codes or names"
    else:
        return
    raise UsageError(reason, location=place_of(config, key), remedy=remedy)


def _specificity(code: str, names: Mapping[str, str], selectors: Sequence[str]) -> int:
    """How exactly the best selector names a code: 0 not at all, the length of a prefix, or `_EXACT`."""
    best = 0
    for selector in selectors:
        if selector.upper() == code or selector.lower() == names[code]:
            return _EXACT
        if selector and code.startswith(selector.upper()):
            best = max(best, len(selector))
    return best


def _reject_unknown_selector(selector: str, names: Mapping[str, str], place: Place = lambda: None) -> None:
    if not any(_specificity(code, names, [selector]) for code in names):
        known = [*names, *names.values()]
        raise UsageError(f'no rule matches "{selector}"', location=place(), remedy=did_you_mean(known, selector))


def _reject_unknown_elsewhere(names: Mapping[str, str], config: Config) -> None:
    """Raise UsageError for a selector of `per-file-ignores`, `severity` or `overrides` that fits no rule."""
    for pattern, selectors in config.per_file_ignores.items():
        place = partial(place_of, config, pattern, within="per-file-ignores")
        if not pattern.strip("!/ ") or not selectors:
            reason = f'per-file-ignores: "{pattern}" names no {"rule" if pattern.strip("!/ ") else "file"}'
            raise UsageError(reason, location=place(), remedy='write "legacy/*.py" = ["GL401"]')
        for selector in selectors:
            _reject_unknown_selector(selector, names, place)
    for selector in config.severity:
        _reject_unknown_selector(selector, names, partial(place_of, config, selector, within="severity"))
    for index, entry in enumerate(config.overrides):
        if entry.rule.lower() not in {label.lower() for pair in names.items() for label in pair}:
            reason = f'overrides: "{entry.rule}" is no rule: an override takes a whole code or a name'
            remedy = did_you_mean([*names, *names.values()], entry.rule)
            raise UsageError(reason, location=place_of(config, "overrides", index=index), remedy=remedy)


def _reject_unknown_options(registry: Registry, config: Config) -> None:
    known = {rule.name: rule for rule in registry.rules}
    for name, options in config.rules.items():
        if name not in known:
            reason = f"options for a rule that does not exist: [tool.gradlint.rules.{name}]"
            raise UsageError(reason, location=place_of(config, name), remedy=did_you_mean(known, name))
        for option, value in options.items():
            _check_option(known[name], option, value, config)


def _check_option(rule: Rule, option: str, value: Any, config: Config) -> None:
    """Raise UsageError for an option that a rule does not have, or a value of another type than it wants."""
    where = place_of(config, option)
    if option not in rule.OPTIONS:
        remedy = did_you_mean(rule.OPTIONS, option) if rule.OPTIONS else f"{rule.name} has no options"
        raise UsageError(f'rules.{rule.name}: unknown option "{option}"', location=where, remedy=remedy)
    wanted = rule.OPTIONS[option]
    given: object = float(value) if wanted is float and type(value) is int else value
    if type(given) is not wanted or (isinstance(given, float) and not math.isfinite(given)):
        reason = f"rules.{rule.name}.{option}: expected {_SPOKEN.get(wanted, wanted.__name__)}, got {value!r}"
        raise UsageError(reason, location=where, remedy=f"`gradlint rule {rule.code}` says what it means")
