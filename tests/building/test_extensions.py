"""Files that compile code in C++ or CUDA when they are imported."""

import sys
from pathlib import Path

import pytest

from gradlint.building.extensions import NAME, uncompiled_extensions
from gradlint.building.stubs import MissingPackageError
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, examine

KERNEL = """
import os
import torch
from torch import nn
from torch.utils.cpp_extension import load
from torch.utils import cpp_extension

fused = load("fused", sources=[os.path.join(os.path.dirname(__file__), "fused.cu")], verbose=True)
if cpp_extension.CUDA_HOME is not None:
    raise RuntimeError("there is no compiler here")

class Scaled(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x):
        if {on_cpu}:
            return nn.functional.leaky_relu(x + self.bias, 0.2)
        return fused.leaky(x, self.bias)
"""
MODEL = """
from torch import nn
from kernels import Scaled

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(8, 16), Scaled(16), nn.Linear(16, 2))

    def forward(self, x):
        return self.body(x)
"""


def examined(folder: Path, on_cpu: str) -> Examined:
    (folder / "kernels.py").write_text(KERNEL.format(on_cpu=on_cpu))
    (folder / "model.py").write_text(MODEL)
    (target,) = find_targets(scan_file(str(folder / "model.py"), MODEL))
    return examine(target, MODEL, on_stage=lambda name: None)


def test_a_model_that_has_its_own_way_on_the_cpu_is_checked(tmp_path: Path) -> None:
    done = examined(tmp_path, 'x.device.type == "cpu"')
    assert done.flow.unknown == () and done.flow.attenuation is not None


def test_what_only_the_extension_computes_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"needs fused\.leaky, and code in C\+\+ or CUDA is not compiled"):
        examined(tmp_path, "False")


def test_other_modules_that_are_imported_meanwhile_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    before = sys.modules.get(NAME)
    monkeypatch.delitem(sys.modules, "antigravity_of_gradlint", raising=False)
    with uncompiled_extensions():
        from torch.utils.cpp_extension import load_inline

        extension = load_inline(name="own", cpp_sources="int f();")  # type: ignore[no-untyped-call]
        monkeypatch.setitem(sys.modules, "antigravity_of_gradlint", sys)
    assert sys.modules.get(NAME) is before
    assert "antigravity_of_gradlint" in sys.modules
    with pytest.raises(MissingPackageError, match=r"own\.f"):
        assert extension.f(1)
