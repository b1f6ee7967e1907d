"""The first configuration of a repository, as commented TOML."""

import re
from collections.abc import Iterator

from gradlint.core import toml
from gradlint.core.text import tame
from gradlint.engine.survey import Survey, Unfilled
from gradlint.report.style import count

_LISTED = 20
_INTRODUCTION = """\
# Settings of gradlint, which predicts where gradients starve or explode (https://pypi.org/project/torch-gradlint).
# Every key is optional; `gradlint config` shows all of them, their values and where each came from."""
_FAIL_ON = 'fail-on = "warning"                       # exit 1 from here on: "error", "warning", "never"'
_FURTHER = """\
# probe = true                            # confirm every finding by a real backward pass; takes longer
# baseline = "gradlint-baseline.json"     # after `gradlint baseline write`: only new findings count"""


def starter(found: Survey, *, table: str) -> str:
    """The text of a section: what was found as settings, what is left to decide as comments.

    Args:
        found: what is in the repository.
        table: the section's name in a pyproject.toml; empty where the whole file is gradlint's.
    """
    lines = [f"[{table}]"] if table else []
    lines += [_INTRODUCTION, _FAIL_ON]
    lines += _exclusions(found)
    lines += _optimizer(found)
    lines.append(_FURTHER)
    if found.unfilled:
        lines += _entries(found.unfilled, f"{table}.targets" if table else "targets")
    return "\n".join(lines) + "\n"


def _exclusions(found: Survey) -> Iterator[str]:
    if not found.excluded:
        yield '# extend-exclude = ["experiments/"]       # paths to leave out, as .gitignore does it'
        return
    yield "extend-exclude = ["
    for folder, why in found.excluded.items():
        yield f"    {toml.quoted(_pattern(folder))},  # {why}"
    yield "]"


def _optimizer(found: Survey) -> Iterator[str]:
    if found.optimizer is None:
        why = "several are used here" if found.trained_in else "what models are trained with"
        yield f'# optimizer = "adam"                      # or "sgd": {why}'
        return
    first, *more = found.trained_in
    places = tame(first).replace("\n", "�") + (f" and {count(len(more), 'other file')}" if more else "")
    yield f"optimizer = {toml.quoted(found.optimizer):<30}# as in {places}"


def _entries(unfilled: tuple[Unfilled, ...], table: str) -> Iterator[str]:
    yield "#"
    yield "# Nothing in this repository says what these models are built with, so gradlint has to guess it."
    yield "# These are its guesses, … where it has none. Put them right and take the # away, or exclude the file above."
    for model in unfilled[:_LISTED]:
        kwargs = toml.table({name: toml.written(model.guesses.get(name), _unknown) for name in model.missing})
        yield from (f"# {line}" for line in toml.target_entry(model.target, {"kwargs": kwargs}, name=table).split("\n"))
    if len(unfilled) > _LISTED:
        yield f"# … and {count(len(unfilled) - _LISTED, 'other model')}: `gradlint check` names each."


def _unknown(_: None) -> str:
    return "…"


def _pattern(folder: str) -> str:
    """A folder as `.gitignore` writes it: from the root, and with nothing in its name that means something else."""
    return "/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", folder) + "/"
