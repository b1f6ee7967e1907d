"""Rule packs and the selection of rules."""

import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import ClassVar

import pytest

from gradlint import registry
from gradlint.api import API_VERSION, Finding, Rule, RuleContext
from gradlint.config import Config
from gradlint.core.errors import UsageError
from gradlint.registry import PluginError, Registry, assemble, load, select


def rule(rule_code: str, rule_name: str, rule_level: str = "stable") -> type[Rule]:
    class Made(Rule):
        """A page."""

        code: ClassVar[str] = rule_code
        name: ClassVar[str] = rule_name
        summary: ClassVar[str] = "a summary"
        level: ClassVar[str] = rule_level

        def check(self, ctx: RuleContext) -> Iterable[Finding]:
            return ()

    return Made


def pack(*rules: object, version: int = API_VERSION) -> SimpleNamespace:
    return SimpleNamespace(RULES=rules, API_VERSION=version)


@pytest.fixture
def rules() -> Registry:
    first = pack(rule("GL201", "exploding-gradient"), rule("GL101", "saturating-stack"), rule("GL102", "vanishing"))
    second = pack(rule("GL199", "early-bird", "preview"), rule("GL001", "unanalysable-model"))
    return assemble([("one", first), ("two", second)])


def codes(known: Registry, /, **options: object) -> set[str]:
    return set(select(known, Config(**options)).codes)  # type: ignore[arg-type]


def test_rules_are_ordered_by_code_whatever_the_order_of_the_packs(rules: Registry) -> None:
    assert [made.code for made in rules.rules] == ["GL001", "GL101", "GL102", "GL199", "GL201"]


def test_stable_rules_are_on_and_preview_ones_off(rules: Registry) -> None:
    assert codes(rules) == {"GL001", "GL002", "GL004", "GL101", "GL102", "GL201"}


def test_selection_by_code_prefix_and_name(rules: Registry) -> None:
    assert codes(rules, select=("GL1",)) == {"GL001", "GL101", "GL102"}
    assert codes(rules, select=("saturating-stack", "gl201")) == {"GL001", "GL101", "GL201"}
    assert codes(rules, extend_select=("GL199",)) == {"GL001", "GL002", "GL004", "GL101", "GL102", "GL199", "GL201"}


def test_the_longer_selector_wins_and_ignore_at_a_tie(rules: Registry) -> None:
    assert codes(rules, ignore=("GL1",), extend_select=("GL101",)) == {"GL001", "GL002", "GL004", "GL101", "GL201"}
    assert codes(rules, select=("GL101",), ignore=("GL101",)) == {"GL001"}


def test_unanalysable_stays_on_until_it_is_ignored(rules: Registry) -> None:
    assert "GL001" not in codes(rules, ignore=("unanalysable-model",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": ()}, "no rule is selected: select is empty"),
        ({"ignore": ("GL",)}, "no rule is selected: every one is ignored"),
    ],
)
def test_settings_that_leave_no_rule_on_are_refused(rules: Registry, options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        codes(rules, **options)
    assert codes(rules, select=(), extend_select=("GL1",)) == {"GL001", "GL101", "GL102"}


@pytest.mark.parametrize("option", ["select", "extend_select", "ignore"])
def test_unknown_selectors_are_refused(rules: Registry, option: str) -> None:
    with pytest.raises(UsageError) as caught:
        codes(rules, **{option: ("saturated-stack",)})
    assert caught.value.message == 'no rule matches "saturated-stack"'
    assert caught.value.remedy == 'did you mean "saturating-stack"?'


def test_options_for_an_unknown_rule_are_refused(rules: Registry) -> None:
    with pytest.raises(UsageError) as caught:
        codes(rules, rules={"vanishng": {"decades": 1}})
    assert caught.value.remedy == 'did you mean "vanishing"?'


def test_pages_are_found_by_code_and_by_name(rules: Registry) -> None:
    assert rules.page("gl101") is rules.page("saturating-stack")
    with pytest.raises(UsageError, match='there is no rule "GL1011"'):
        rules.page("GL1011")


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (pack(version=API_VERSION + 1), "written for API version"),
        (SimpleNamespace(API_VERSION=API_VERSION), "exposes no tuple `RULES`"),
        (pack("GL101"), "'GL101' in RULES is not a subclass"),
        (pack(type("Nameless", (rule("GL7", "x"),), {"name": None})), "Nameless does not define name"),
        (pack(type("Idle", (Rule,), {"code": "X1", "name": "x", "summary": ""})), "Idle does not define check"),
        (pack(rule("GL1", "a"), rule("GL1", "b")), "both define GL1"),
    ],
)
def test_unfit_packs_are_told_by_name(module: object, message: str) -> None:
    with pytest.raises(PluginError) as caught:
        assemble([("crooked", module)])
    assert "crooked" in caught.value.message
    assert message in caught.value.message


def test_no_pack_at_all_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    registry.load.cache_clear()
    with pytest.raises(PluginError, match="no rule pack is installed"):
        registry.load()
    registry.load.cache_clear()


def test_a_pack_that_raises_at_import_is_told_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def load() -> object:
        raise RuntimeError("boom")

    point = SimpleNamespace(name="fragile", value="fragile_rules", load=load)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    registry.load.cache_clear()
    with pytest.raises(PluginError, match=r'"fragile" \(fragile_rules\) cannot be imported: RuntimeError: boom'):
        registry.load()
    registry.load.cache_clear()


@pytest.mark.parametrize(
    ("options", "fits"),
    [
        ({"decades": 4}, True),
        ({"decades": 4.5}, True),
        ({"decades": "4"}, False),
        ({"decades": float("nan")}, False),
        ({"decade": 4}, False),
    ],
)
def test_the_options_of_the_builtin_rules_are_checked(options: dict[str, object], fits: bool) -> None:
    config = Config(rules={"vanishing-gradient": options})
    if fits:
        select(load(), config)
        return
    with pytest.raises(UsageError, match=r"rules\.vanishing-gradient"):
        select(load(), config)


def test_the_pages_name_the_options_that_rules_have() -> None:
    for rule in load().rules:
        said = (type(rule).__doc__ or "").partition("## Options")[2]
        assert set(re.findall(r"`(\w+)`", said)) == set(rule.OPTIONS), rule.code
