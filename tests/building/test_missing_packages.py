"""Packages that a file imports and nobody has installed."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradlint.building import BuiltModel, build, feed, load_module
from gradlint.core.errors import AnalysisError
from gradlint.core.target import Target

Built = Callable[..., BuiltModel]
Write = Callable[..., str]

NET = """
import absent_logger
import absent_plots.figures as figures
from absent_data.sets import Images, load
from absent_data import *

log = absent_logger.get("x")

@absent_logger.traced
def helper(x: figures.Axes | None, y: Images[int] = load("a")) -> "figures.Axes":
    return x

class Data(Images):
    pass

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(3, 3)
        {constructor}
    def forward(self, x):
        {forward}
        return self.a(x)
"""


def text(constructor: str = "pass", forward: str = "pass") -> str:
    return NET.format(constructor=constructor, forward=forward)


def test_what_the_model_does_not_need_is_stood_in_for(built: Built) -> None:
    found = built(text())
    assert feed(found).described == "(8, 3) float32"
    assert found.notes == ("not installed, and not needed so far: absent_data, absent_logger, absent_plots",)
    assert not [name for name in sys.modules if name.startswith("absent")]


def test_what_a_decorator_wraps_stays_itself(write: Write) -> None:
    assert load_module(write(text())).evaluate("helper(7)") == 7


@pytest.mark.parametrize(
    ("constructor", "message"),
    [
        (
            "absent_data.layers.fill(self.a.weight)",
            "it needs absent_data.layers.fill, and absent_data is not installed",
        ),
        ("self.b = nn.Linear(absent_data.width() * 2, 3)", "it needs absent_data.width, and absent_data is not"),
        (
            "self.b = Images(3); [b for b in self.b]",
            "it needs absent_data.sets.Images, and absent_data is not installed",
        ),
        ("self.b = 1 if absent_data.fast() else 2", "it needs absent_data.fast, and absent_data is not installed"),
        ("nn.Linear(figures.WIDTH, 2)", "got Missing"),
    ],
)
def test_a_model_that_needs_one_is_an_error(built: Built, constructor: str, message: str) -> None:
    source = text(constructor).replace("from absent_data import *", "import absent_data")
    with pytest.raises(AnalysisError) as caught:
        built(source)
    assert caught.value.stage == "build"
    assert caught.value.location is not None
    assert caught.value.location.line == 22
    assert message in caught.value.message
    assert caught.value.remedy.startswith("install absent_")


def test_what_a_constructor_only_keeps_is_not_needed(built: Built) -> None:
    """Metrics of a Lightning module."""
    kept = "self.accuracy = absent_logger.metrics.Accuracy(task='multiclass')"
    assert feed(built(text(kept, forward="self.accuracy(x)"))).described == "(8, 3) float32"
    with pytest.raises(AnalysisError, match=r"it needs absent_logger\.metrics\.Accuracy, and absent_logger is not"):
        feed(built(text(kept, forward="x = self.accuracy(x)")))


def test_the_package_to_install_is_named(built: Built) -> None:
    with pytest.raises(AnalysisError) as caught:
        built(text("self.width = int(absent_logger.get('x', 1))"))
    assert caught.value.remedy == "install absent_logger in the environment that runs gradlint"


def test_a_forward_that_needs_one_is_an_error(built: Built) -> None:
    with pytest.raises(AnalysisError, match=r"it needs absent_plots\.figures\.show") as caught:
        feed(built(text(forward="x = figures.show(x, 1)")))
    assert caught.value.stage == "feed"
    assert caught.value.remedy == "install absent_plots in the environment that runs gradlint"


def test_a_model_of_an_absent_base_is_an_error(write: Write) -> None:
    path = write("from absent_framework import BaseModule\nclass Net(BaseModule):\n    pass\n")
    with pytest.raises(AnalysisError, match="absent_framework is not installed") as caught:
        build(Target(path, "Net", 5), load_module(path))
    assert caught.value.remedy == "install absent_framework in the environment that runs gradlint"


LIT = """
import absent_lightning as pl

class Lit(pl.LightningModule):
    def __init__(self, width=3, rate=0.1):
        super().__init__()
        {constructor}
        self.a = nn.Linear(self.hparams.width, 3)
    def forward(self, x):
        self.log("mean", x.mean(), prog_bar=True)
        return self.a(x.to(self.device))
    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=self.hparams["rate"])
"""


@pytest.mark.parametrize(
    "constructor", ["self.save_hyperparameters()", "self.save_hyperparameters('width', ignore=['rate'])"]
)
def test_a_lightning_module_needs_no_lightning(built: Built, constructor: str) -> None:
    assert feed(built(LIT.format(constructor=constructor))).described == "(8, 3) float32"


def test_hyperparameters_may_be_given_as_one_mapping(built: Built) -> None:
    found = built(LIT.format(constructor="self.save_hyperparameters({'width': 7})"))
    assert feed(found).described == "(8, 7) float32"


def test_what_an_absent_base_would_have_given_is_its_absence(write: Write) -> None:
    path = write("from absent_framework import Base\nclass Net(Base):\n    def __init__(self): self.begin()\n")
    with pytest.raises(AnalysisError, match="has no attribute 'begin'") as caught:
        build(Target(path, "Net", 5), load_module(path))
    assert caught.value.remedy == "install absent_framework in the environment that runs gradlint"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: Any) -> Path:
    """A folder of installed packages: one that cannot be imported, one that has lost a name."""
    folder = tmp_path / "site-packages"
    (folder / "broken_vision").mkdir(parents=True)
    (folder / "broken_vision" / "__init__.py").write_text("raise RuntimeError('operator broken::nms does not exist')\n")
    (folder / "renewed.py").write_text("def kept(): return 3\n")
    monkeypatch.syspath_prepend(str(folder))
    return folder


BROKEN = """
from broken_vision import models
from broken_vision.sets import Images

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = {layer}
    def forward(self, x):
        return self.a(x)
"""


def test_a_package_that_cannot_be_imported_is_stood_in_for(built: Built, site: Path) -> None:
    found = built(BROKEN.format(layer="nn.Linear(3, 3)"))
    assert feed(found).described == "(8, 3) float32"
    assert found.notes == ("not importable here, and not needed so far: broken_vision",)


def test_a_model_that_needs_what_cannot_be_imported_says_why(built: Built, site: Path) -> None:
    with pytest.raises(
        AnalysisError, match="installed but cannot be imported: RuntimeError: operator broken"
    ) as caught:
        feed(built(BROKEN.format(layer="models.resnet18()")))
    assert "needs broken_vision.models.resnet18" in caught.value.message
    assert caught.value.remedy == "install a version of broken_vision that fits the file, torch and Python"


def test_a_name_that_an_installed_version_lacks_matters_where_it_is_needed(write: Write, site: Path) -> None:
    namespace = load_module(write("from renewed import kept, dropped\n\ndef use():\n    return dropped(1)\n"))
    assert namespace.evaluate("kept()") == 3
    assert not hasattr(sys.modules["renewed"], "dropped")
    with pytest.raises(ImportError, match=r"needs renewed\.dropped, and the renewed installed here has no dropped"):
        namespace.evaluate("use()")


def test_a_call_whose_result_nobody_takes_needs_no_package(built: Built) -> None:
    assert feed(built(text("absent_logger.info('building', 3)"))).described == "(8, 3) float32"
    with pytest.raises(AnalysisError, match=r"it needs absent_logger\.init\.normal_"):
        built(text("absent_logger.init.normal_(self.a.weight)"))


def test_siblings_may_miss_packages_too(tmp_path: Path) -> None:
    (tmp_path / "plotting_of_mine.py").write_text("import absent_plots\nWIDTH = 3\n")
    path = tmp_path / "model.py"
    path.write_text("from plotting_of_mine import WIDTH\n")
    assert load_module(str(path)).evaluate("WIDTH") == 3


def test_optional_imports_fail_as_they_should(write: Write) -> None:
    namespace = load_module(write("try:\n    import absent_speed\nexcept ImportError:\n    absent_speed = None\n"))
    assert namespace.evaluate("absent_speed") is None
    assert namespace.missing == {}


def test_a_missing_name_of_an_installed_package_is_no_missing_package(write: Write) -> None:
    with pytest.raises(AnalysisError, match=r"torch\.absent_part"):
        load_module(write("import torch.absent_part\n"))
