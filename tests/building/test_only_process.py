"""Code that is written for many processes, in the one that there is."""

from pathlib import Path

import pytest
import torch
from torch import distributed

from gradlint.building.processes import as_only_process
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import analyse
from gradlint.worker.messages import Settings

CONTRASTIVE = """
import torch
from torch import nn
import torch.distributed as dist

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(16, 64), nn.ReLU(), nn.Linear(64, 8))

    def forward(self, x):
        z = self.encoder(x)
        everyone = [torch.ones_like(z) for _ in range(dist.get_world_size())]
        work = dist.all_gather(everyone, z, async_op=True)
        work.wait()
        everyone[dist.get_rank()] = z
        total = z.detach().mean()
        dist.all_reduce(total)
        return z @ torch.cat(everyone).t() - total
"""


def test_a_model_that_gathers_from_all_processes_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(CONTRASTIVE)
    (target,) = find_targets(scan_file(str(path), CONTRASTIVE))
    result = analyse(target, CONTRASTIVE, Settings(()), on_stage=lambda name: None)
    assert result.skipped == () and result.summary is not None
    assert result.summary.attenuation is not None and result.summary.unknown_operators == ()


def test_what_collective_calls_give() -> None:
    x = torch.arange(6.0, requires_grad=True)
    with as_only_process("import torch.distributed"):
        parts, whole, things = [torch.zeros(6)], torch.zeros(2, 3), [None]
        distributed.all_gather(parts, x)
        distributed.all_gather_into_tensor(whole, x)
        distributed.all_gather_object(things, {"rank": 0})
        y = x.detach().clone()
        distributed.all_reduce(y)
        distributed.broadcast(y, src=0)
        assert (distributed.get_rank(), distributed.get_world_size()) == (0, 1)
    assert torch.equal(parts[0], x) and not parts[0].requires_grad
    assert torch.equal(whole, x.detach().reshape(2, 3))
    assert things == [{"rank": 0}] and torch.equal(y, x)


def test_others_are_left_alone() -> None:
    original = distributed.get_rank
    with as_only_process("import torch"):
        assert distributed.get_rank is original
    with as_only_process("import torch.distributed"):
        assert distributed.get_rank is not original
    assert distributed.get_rank is original


def test_a_group_that_exists_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "get_world_size", lambda group=None: 7)
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    with as_only_process("import torch.distributed"):
        assert distributed.get_world_size() == 7
