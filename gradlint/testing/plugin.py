"""The pytest plugin: `pytest --gradlint` makes a test of every Python file and notebook that defines models.

It is loaded by every run of pytest in the environment, so it imports nothing of gradlint before `--gradlint` is given.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

_MARKER = "gradlint"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--gradlint`."""
    group = parser.getgroup("gradlint")
    group.addoption(
        "--gradlint", action="store_true", help="Check the files that define PyTorch models, one test per file."
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known, so that `-m gradlint` and `-m 'not gradlint'` choose."""
    config.addinivalue_line("markers", f"{_MARKER}: a model file that gradlint checks")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A collector for a file that defines models and that no configuration leaves out."""
    if file_path.suffix not in (".py", ".ipynb") or not parent.config.getoption("gradlint"):
        return None
    from gradlint.core.errors import GradlintError
    from gradlint.testing.items import defines_models, told

    try:
        return ModelFile.from_parent(parent, path=file_path) if defines_models(file_path) else None
    except GradlintError as error:  # a configuration that cannot be meant
        raise pytest.Collector.CollectError(told(error)) from error


class ModelFile(pytest.File):
    """A file with models in it."""

    def collect(self) -> Iterable[pytest.Item]:
        """One test: comments and baselines speak of whole files."""
        item = ModelItem.from_parent(self, name=_MARKER)
        item.add_marker(_MARKER)
        yield item


class ModelItem(pytest.Item):
    """`gradlint check` of one file."""

    def runtest(self) -> None:
        """Check the file by the configuration that holds for it."""
        from gradlint.testing.items import check_file

        check_file(self.path)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: Any) -> Any:
        """What `gradlint check` prints, without the way that led there."""
        from gradlint.testing.items import UnhealthyError

        return str(excinfo.value) if isinstance(excinfo.value, UnhealthyError) else super().repr_failure(excinfo, *args)

    def reportinfo(self) -> "tuple[os.PathLike[str] | str, int | None, str]":
        """Where it is, in words."""
        return self.path, None, f"{self.nodeid.rpartition('::')[0]} (gradlint)"
