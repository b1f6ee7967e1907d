"""Settings that a repository keeps in YAML, JSON and TOML files, as far as its code names them."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from gradlint.discovery.elsewhere.repository import Repository
from gradlint.discovery.literals import UnreadableError, require_small

_REFERENCE = re.compile(r"^\$\{([\w.]+)\}$")
_DEEPEST = 5
_YAML = (".yaml", ".yml")


def load(path: Path, repository: Repository) -> Any:
    """What a file of settings holds.

    Raises:
        UnreadableError: it lies outside of the repository, is no such file, or PyYAML is not installed.
    """
    if path.suffix not in (*_YAML, ".json", ".toml") or not path.resolve().is_relative_to(repository.root):
        raise UnreadableError
    text = repository.text(path)
    if text is None:
        raise UnreadableError
    try:
        return _parsed(path.suffix, text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError from error


def _parsed(suffix: str, text: str) -> Any:
    if suffix == ".json":
        return json.loads(text)
    return tomllib.loads(text) if suffix == ".toml" else _yaml(text)


def _yaml(text: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise UnreadableError from error
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UnreadableError from error


def hydra(folder: Path, name: str, repository: Repository) -> dict[str, Any]:
    """A configuration of Hydra's with its defaults list: groups under their own names, references filled in.

    Raises:
        UnreadableError: a file of it cannot be read.
    """
    composed = _composed(folder, name, repository, _DEEPEST)
    require_small(composed)
    filled = _filled(composed, composed)
    assert isinstance(filled, dict)
    return filled


def _composed(folder: Path, name: str, repository: Repository, depth: int) -> dict[str, Any]:
    stem = name.removesuffix(".yaml").removesuffix(".yml")
    value = load(folder / f"{stem}.yaml", repository)
    if not isinstance(value, dict) or depth == 0:
        raise UnreadableError
    own = {key: item for key, item in value.items() if key != "defaults"}
    composed: dict[str, Any] = {}
    for entry in value.get("defaults") or []:
        if entry == "_self_":
            composed, own = _merged(composed, own), {}
        elif isinstance(entry, str):
            composed = _merged(composed, _composed(folder, entry, repository, depth - 1))
        elif isinstance(entry, dict) and len(entry) == 1:
            group, choice = next(iter(entry.items()))
            if isinstance(group, str) and isinstance(choice, str) and not group.startswith(("override ", "/")):
                part = _composed(folder / group, choice, repository, depth - 1)
                composed = _merged(composed, {group.removeprefix("optional "): part})
    return _merged(composed, own)


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged


def _filled(value: Any, whole: dict[str, Any], depth: int = 20) -> Any:
    """Without `${model.width}`; a reference that leads nowhere, or to a resolver, leaves its entry out."""
    if depth == 0:
        raise UnreadableError
    if isinstance(value, list):
        return [_filled(item, whole, depth - 1) for item in value]
    if not isinstance(value, dict):
        return value
    filled = {}
    for key, item in value.items():
        found = _referred(item, whole) if isinstance(item, str) and "${" in item else item
        if not (isinstance(found, str) and "${" in found):
            filled[key] = _filled(found, whole, depth - 1)
    return filled


def _referred(item: str, whole: dict[str, Any], depth: int = _DEEPEST) -> Any:
    reference = _REFERENCE.match(item)
    if reference is None or depth == 0:
        return item
    found: Any = whole
    for part in reference[1].split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        return item
    return _referred(found, whole, depth - 1) if isinstance(found, str) and "${" in found else found
