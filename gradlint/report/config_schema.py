"""The JSON schema of the configuration (`docs/config-schema.json`), from the types that validate it."""

from typing import Any

import msgspec

from gradlint.config import KEYS, Config

_SAID = {
    "select": "Codes, prefixes or names of the only rules to run.",
    "extend-select": "Rules to run beside those that are on; preview and pedantic ones too.",
    "ignore": "Rules to switch off.",
    "exclude": "Paths to leave out, as .gitignore does it.",
    "extend-exclude": "Paths to leave out beside those of `exclude`.",
    "fail-on": "`gradlint check` exits with 1 from this severity up.",
    "timeout": "Seconds per model.",
    "memory": "GiB per model, beyond what the interpreter and torch take.",
    "probe": "Confirm findings by a real backward pass.",
    "optimizer": "What models are trained with, where the file does not say it.",
    "batch": "Size of the batch of example inputs that gradlint derives.",
    "sequence-length": "Length of sequences in example inputs that gradlint derives.",
    "all-modules": "Check what is only a part of another model on its own, too.",
    "respect-gitignore": "Leave out what .gitignore names.",
    "jobs": "Processes that check models at once.",
    "baseline": "File of known findings, relative to this file; an empty text is none.",
    "cache": "Keep results, so that unchanged files cost next to nothing.",
    "cache-dir": "Folder for them, relative to this file (default: .gradlint_cache beside it).",
    "per-file-ignores": "Rules that do not count in some files, by pattern.",
    "severity": "What a rule counts as, by code, prefix or name.",
    "overrides": "What becomes of single findings.",
    "targets": "How to build and feed models for which nothing tells it.",
    "rules": "Options of rules, by the rule's name.",
}


def config_schema() -> str:
    """The schema's text: of a gradlint.toml, and of what stands below `[tool.gradlint]`."""
    schema = _without_null(msgspec.json.schema(Config))
    config = schema["$defs"].pop("Config")
    config["properties"] = {key: {"description": _SAID[key], **config["properties"][key]} for key in KEYS}
    schema["$defs"]["OverrideEntry"]["anyOf"] = [{"required": [key]} for key in ("path", "model", "module")]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of gradlint"}
    document = {**head, **{key: config[key] for key in ("type", "properties", "additionalProperties")}, **schema}
    del document["$ref"]
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n"


def _without_null(schema: Any) -> Any:
    """The same without null, which no TOML holds: what is not set is left out."""
    if isinstance(schema, list):
        return [_without_null(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_null(value) for key, value in schema.items() if not (key == "default" and value is None)}
    choices = [choice for choice in kept.get("anyOf", ()) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        return {**choices[0], **kept}
    return {**kept, "anyOf": choices} if choices else kept
