"""A file that moves things to a GPU is analysed on a machine without one."""

from pathlib import Path

import pytest
import torch

from gradlint.building.devices import cpu_for_cuda
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import analyse
from gradlint.worker.messages import Settings

NET = """import torch
from torch import nn
device = torch.device("cuda")
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(50, 16).cuda()
        self.fc = nn.Linear(16, 16, device="cuda")
        self.register_buffer("scale", torch.ones(16, device=device))
        self.to(device)
    def forward(self, ids):
        new = torch.zeros(16).to("cuda:0") + torch.arange(16, device="cuda").float() + torch.ones(16).to(0)
        return self.fc(self.table(ids.cuda(non_blocking=True)) * self.scale + new.to(device, torch.float32))
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_device_calls_stay_on_the_cpu(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(NET)
    (target,) = find_targets(scan_file(str(path), NET))
    result = analyse(target, NET, Settings(("GL001",), probe=True), on_stage=lambda name: None)
    assert result.skipped == ()
    assert result.summary is not None
    assert result.summary.probed == "yes"


def test_files_that_never_speak_of_it_and_machines_with_a_gpu_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with cpu_for_cuda("import torch"):
        assert torch._C._len_torch_function_stack() == 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with cpu_for_cuda("x.cuda()"):
        assert torch._C._len_torch_function_stack() == 0
