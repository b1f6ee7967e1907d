"""Which files to ask first how a model is built: those that are most likely to build it as it is meant to be."""

import re
from pathlib import Path

from gradlint.discovery.elsewhere.repository import Repository

_TRAINING = re.compile(r"^(train|main|run|pretrain|finetune)|_(train|main)$|trainer$", re.IGNORECASE)
_TEST = re.compile(r"^tests?$|^test_|_test$|^conftest$", re.IGNORECASE)
_EXAMPLE = re.compile(r"example|demo|script|notebook|tutorial|sample|^usage|^quickstart|benchmark", re.IGNORECASE)


def preference(path: Path, repository: Repository) -> tuple[int, int, str]:
    """The smaller, the better: kind of file, folders between it and the checked file, name."""
    folders = path.relative_to(repository.root).parts[:-1]
    own = repository.path.parent.relative_to(repository.root).parts
    shared = next((i for i, pair in enumerate(zip(folders, own, strict=False)) if pair[0] != pair[1]), None)
    common = min(len(folders), len(own)) if shared is None else shared
    return _kind(path, folders), len(folders) + len(own) - 2 * common, path.as_posix()


def _kind(path: Path, folders: tuple[str, ...]) -> int:
    if path.suffix == ".md":
        return 3
    parts = (*folders, path.stem)
    if any(_TEST.search(part) for part in parts):
        return 1
    if path.suffix == ".py" and _TRAINING.search(path.stem):
        return 0
    is_example = path.suffix == ".ipynb" or any(_EXAMPLE.search(part) for part in parts)
    return 2 if is_example else 4
