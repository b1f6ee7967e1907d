"""Settings: one frozen object, validated at the edge. Command line > environment (`GRADLINT_…`) > file."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec

from gradlint.core.entries import Count, Dtype, InputEntry, Level, Optimizer, OverrideEntry, Section, TargetEntry
from gradlint.core.errors import UsageError
from gradlint.core.file_names import CONFIGURATIONS
from gradlint.core.location import Location

ENVIRONMENT_PREFIX = "GRADLINT_"
ENVIRONMENT, COMMAND_LINE = "environment", "command line"
"""Origins of settings that no file says."""
DEFAULT_TIMEOUT = 60.0
DEFAULT_MEMORY = 4.0

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
FailOn = Literal["error", "warning", "never"]


class Config(Section, frozen=True):
    """The settings in force. Keys are in kebab-case in files, in snake_case in Python."""

    select: tuple[str, ...] | None = None
    extend_select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    extend_exclude: tuple[str, ...] = ()
    fail_on: FailOn = "warning"
    timeout: Positive = DEFAULT_TIMEOUT
    """Seconds per model."""
    memory: Positive = DEFAULT_MEMORY
    """GiB per model, beyond what the interpreter and torch take."""
    probe: bool = False
    optimizer: Optimizer | None = None
    batch: Count | None = None
    sequence_length: Count | None = None
    all_modules: bool = False
    """Whether what is only a part of another model is checked on its own, too."""
    respect_gitignore: bool = True
    jobs: Count = 1
    baseline: str | None = None
    """File of known findings, relative to what names it; an empty text is none."""
    cache: bool = True
    """Whether `gradlint check` keeps results for the next run."""
    cache_dir: str | None = None
    """Folder for them, relative to what names it; None: `.gradlint_cache` beside the configuration file."""
    per_file_ignores: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    severity: dict[str, Level] = msgspec.field(default_factory=dict)
    overrides: tuple[OverrideEntry, ...] = ()
    targets: tuple[TargetEntry, ...] = ()
    rules: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)
    root: str = ""
    """Folder that relative patterns and targets are relative to (not a key of the file)."""
    origins: dict[str, str] = msgspec.field(default_factory=dict)
    """Where each setting that is not a default came from (not a key of the file)."""


KEYS = tuple(field.encode_name for field in msgspec.structs.fields(Config) if field.name not in ("root", "origins"))
_STRUCTURED = ("per-file-ignores", "severity", "overrides", "targets", "rules")


def nearest(names: Iterable[str], wanted: str) -> str:
    """The name that `wanted` was probably meant to be, or an empty string."""
    import difflib

    folded = {name.lower(): name for name in names}
    close = difflib.get_close_matches(wanted.lower(), list(folded), n=1, cutoff=0.6)
    return folded[close[0]] if close else ""


def did_you_mean(names: Iterable[str], wanted: str) -> str:
    """`did you mean "…"?` where something is near, else a list of what there is."""
    known = sorted(names)
    close = nearest(known, wanted)
    return f'did you mean "{close}"?' if close else f"known: {', '.join(known)}"


def load(
    start: Path,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    explicit: Path | None = None,
    isolated: bool = False,
) -> Config:
    """Read the settings in force for a run that starts in the folder `start`.

    Args:
        start: the folder to look from.
        overrides: values from the command line, by kebab-case key; None values are not given.
        environment: usually `os.environ`; only names that start with `GRADLINT_` are read.
        explicit: a configuration file to use instead of the nearest one.
        isolated: read no file at all.

    Raises:
        UsageError: a file that cannot be read or parsed, an unknown key, a value of the wrong type.
    """
    layers: list[tuple[str, dict[str, Any], str]] = []
    root = start
    path = None if isolated else explicit or find(start)
    if path is not None:
        root = path.parent
        text, table = read(path)
        reject_unknown(table, str(path), text)
        layers.append((str(path), table, text))
    layers.append((ENVIRONMENT, _from_environment(environment or {}), ""))
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    layers.append((COMMAND_LINE, given, ""))
    merged: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for origin, table, text in layers:
        valid = convert(table, origin, text)
        merged.update({key: getattr(valid, key.replace("-", "_")) for key in table})
        origins.update(dict.fromkeys(table, origin))
    fields = {key.replace("-", "_"): value for key, value in merged.items()}
    return Config(**fields, root=str(root.resolve()), origins=origins)


def from_options(**options: Any) -> Config:
    """Settings from Python keyword arguments in snake_case; raises UsageError as `load` does."""
    table = {key.replace("_", "-"): value for key, value in options.items()}
    reject_unknown(table, "options", "")
    return convert({**table, "root": str(Path.cwd())}, "options", "")


def find(start: Path) -> Path | None:
    """The nearest configuration file at or above `start`; a pyproject.toml without `[tool.gradlint]` is passed over."""
    folder = start.resolve()
    for parent in (folder, *folder.parents):
        for name in CONFIGURATIONS:
            path = parent / name
            if path.is_file() and _section(path, _parse(path)[1]) is not None:
                return path
    return None


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and gradlint table of a configuration file."""
    text, table = _parse(path)
    return text, _section(path, table) or {}


def _section(path: Path, table: dict[str, Any]) -> dict[str, Any] | None:
    """`[tool.gradlint]`, or the whole of a file of gradlint's own; None for a pyproject.toml without such a table."""
    tool = table.get("tool")
    if isinstance(tool, dict) and "gradlint" in tool:
        section = tool["gradlint"]
        if not isinstance(section, dict):
            raise UsageError(
                "tool.gradlint: expected a table", location=Location(str(path), 1), remedy="[tool.gradlint]"
            )
        return section
    return None if path.name == "pyproject.toml" else table


def _parse(path: Path) -> tuple[str, dict[str, Any]]:
    import tomli

    try:
        text = path.read_text(encoding="utf-8-sig")
        return text, tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        where = Location(str(path), getattr(error, "lineno", 1), getattr(error, "colno", 1))
        raise UsageError(f"not valid TOML: {error}", location=where, remedy="see https://toml.io") from error
    except RecursionError as error:
        raise UsageError("nested too deeply", location=Location(str(path), 1)) from error
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(f"cannot read the configuration: {reason}", location=Location(str(path), 1)) from error


def reject_unknown(table: Mapping[str, Any], origin: str, text: str) -> None:
    """Raise UsageError at the first key that is not one of ours."""
    _check_keys(table, KEYS, origin, text)
    for entry in _tables(table.get("overrides")):
        _check_keys(entry, _keys(OverrideEntry), origin, text)
    for entry in _tables(table.get("targets")):
        _check_keys(entry, _keys(TargetEntry), origin, text)
        inputs = entry.get("inputs")
        for value in inputs if isinstance(inputs, list | tuple) else ():
            _check_input(value, origin, text)


def _tables(value: Any) -> list[dict[str, Any]]:
    """The tables of a list; what is anything else is refused where it is converted."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list | tuple) else []


def _keys(section: type[Section]) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(section)]


def _check_input(value: Any, origin: str, text: str) -> None:
    if isinstance(value, dict):
        _check_keys(value, _keys(InputEntry), origin, text)
        inner = value.get("dict")
        for entry in inner.values() if isinstance(inner, dict) else ():
            _check_input(entry, origin, text)


def convert(table: Mapping[str, Any], origin: str, text: str) -> Config:
    """Validate every value; raise UsageError that names the key, what was expected, and where it stands."""
    lax = origin == ENVIRONMENT
    try:
        return msgspec.convert(dict(table), Config, strict=not lax)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$.")
        key = path.rstrip("`")
        name = re.split(r"[.\[]", key)[0]
        choices = _CHOICES.get(re.split(r"[.\]]", key)[-1] or name)
        if choices is not None:
            message = f"{message}, expected one of {', '.join(choices)}"
        given = f" (given: {table[name]!r})" if name in table and name not in _STRUCTURED else ""
        spoken = f"{ENVIRONMENT_PREFIX}{name.upper().replace('-', '_')}" if lax else key
        raise UsageError(
            f"{spoken}: {message[:1].lower()}{message[1:]}{given}",
            location=_place(origin, text, name, int("".join(re.findall(r"^[a-z-]+\[(\d+)\]", key)) or 0)),
            remedy=f"`gradlint config` lists the keys; {name} is e.g. {_example(name)}",
        ) from error


def _check_keys(table: Mapping[str, Any], known: Iterable[str], origin: str, text: str) -> None:
    for key in table:
        if key not in known:
            raise UsageError(
                f'unknown key "{key}" in the configuration ({origin})',
                location=_place(origin, text, key),
                remedy=did_you_mean(known, key),
            )


def _place(origin: str, text: str, key: str, index: int = 0) -> Location | None:
    """Line of `key = …` or `[…key…]` in the file that it came from; that of the `index`-th where there are several."""
    if not text:
        return None
    word = re.escape(key)
    pattern = re.compile(rf"\s*\[.*\b{word}\b|(?:.*[^\w-])?{word}[\"']?\s*=")
    found = [number for number, line in enumerate(text.splitlines(), start=1) if pattern.match(line)] or [1]
    return Location(origin, found[index] if index < len(found) else found[0])


def place_of(config: Config, key: str, *, within: str = "rules", index: int = 0) -> Location | None:
    """Line of the configuration file at which a key stands; None where no file says it.

    Args:
        config: the settings in force.
        key: a key, or one below the table `within`.
        within: a key that holds a table.
        index: which of several `[[key]]`.
    """
    path = Path(config.origins.get(key) or config.origins.get(within, ""))
    return _place(str(path), read(path)[0], key, index) if path.is_file() else None


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Settings in environment variables: `GRADLINT_FAIL_ON=error`, `GRADLINT_SELECT=GL1,GL201`."""
    values: dict[str, Any] = {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(Config)}
    for name in sorted(name for name in environment if name.startswith(ENVIRONMENT_PREFIX)):
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("_", "-")
        plain = [known for known in KEYS if known not in _STRUCTURED]
        if key not in plain:
            spoken = [ENVIRONMENT_PREFIX + known.upper().replace("-", "_") for known in plain]
            raise UsageError(f"unknown environment variable {name}", remedy=did_you_mean(spoken, name))
        text = environment[name]
        is_list = "tuple" in str(fields[key].type)
        values[key] = listed(text, name) if is_list else text
    return values


def listed(text: str, given_by: str) -> list[str]:
    """Parts between commas; a selection of none is an empty variable of somebody's script, not a wish for no rules."""
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts and given_by in ("--select", f"{ENVIRONMENT_PREFIX}SELECT"):
        raise UsageError(f"{given_by} names no rule: {text!r}", remedy="name one, as in GL1, or leave it out for all")
    return parts


_CHOICES = {
    "fail-on": get_args(FailOn), "optimizer": get_args(Optimizer), "dtype": get_args(Dtype),
    "severity": get_args(Level),
}  # fmt: skip
_EXAMPLES = {
    "timeout": "60", "memory": "4.0", "fail-on": '"error"', "optimizer": '"adam"', "batch": "32", "probe": "true",
    "sequence-length": "128", "jobs": "2", "respect-gitignore": "true", "all-modules": "true",
    "rules": "{ saturating-stack = { … } }", "targets": '[{ target = "model.py:Net", inputs = [[4, 16]] }]',
    "exclude": '["generated/*.py"]', "baseline": '"gradlint-baseline.json"', "cache": "false",
    "cache-dir": '".gradlint_cache"', "per-file-ignores": '{ "legacy/*.py" = ["GL401"] }',
    "severity": '{ missing-normalization = "info" }',
    "overrides": '[{ rule = "GL101", model = "Net", reason = "why it is meant" }]',
}  # fmt: skip


def _example(key: str) -> str:
    return _EXAMPLES.get(key, '["GL101"]')
