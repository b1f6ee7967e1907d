"""Models that have no forward: run through a training step, a method that computes, or their largest part."""

import textwrap
from pathlib import Path

import pytest
import torch

from gradlint.core.finding import Finding
from gradlint.discovery import find_targets, scan_file
from gradlint.worker.analysis import Examined, analyse, examine
from gradlint.worker.messages import Settings, TargetResult

HEAD = """
import torch
from torch import nn
import torch.nn.functional as F
import pytorch_lightning as pl

class Inner(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(16, 4)

    def forward(self, x):
        return self.fc(x)

"""
DEEP = "nn.Sequential(*[m for _ in range(20) for m in (nn.Linear(64, 64), nn.Sigmoid())], nn.Linear(64, 10))"


def written(tmp_path: Path, parts: str, methods: str, base: str = "pl.LightningModule") -> tuple[str, str]:
    path = tmp_path / "model.py"
    constructor = "def __init__(self):\n    super().__init__()\n" + textwrap.indent(
        textwrap.dedent(parts).strip(), "    "
    )
    body = textwrap.indent(f"{constructor}\n\n{textwrap.dedent(methods).strip()}", "    ")
    path.write_text(f"{HEAD}class Net({base}):\n{body}\n")
    return str(path), path.read_text()


def examined(tmp_path: Path, parts: str, methods: str, base: str = "pl.LightningModule") -> Examined:
    path, source = written(tmp_path, parts, methods, base)
    target = next(target for target in find_targets(scan_file(path, source)) if target.name == "Net")
    return examine(target, source, on_stage=lambda name: None)


def result(tmp_path: Path, parts: str, methods: str, *codes: str, base: str = "pl.LightningModule") -> TargetResult:
    path, source = written(tmp_path, parts, methods, base)
    target = next(target for target in find_targets(scan_file(path, source)) if target.name == "Net")
    return analyse(target, source, Settings(codes), on_stage=lambda name: None)


def told(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in findings}


AUTOENCODER = """
    def training_step(self, batch, batch_idx):
        x, _ = batch
        x = x.view(x.size(0), -1)
        loss = F.mse_loss(self.decoder(self.encoder(x)), x)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), lr=1e-3)
"""


def test_a_training_step_is_followed_up_to_its_loss(tmp_path: Path) -> None:
    found = examined(tmp_path, "self.encoder = nn.Linear(784, 3)\nself.decoder = nn.Linear(3, 784)", AUTOENCODER)
    assert found.fed is not None
    assert (found.fed.through, found.fed.is_whole) == ("its training_step", True)
    assert found.flow.unknown == ()
    (output,) = found.graph.view.outputs
    assert found.graph.view.nodes[output].shape == (8, 784)
    assert {"encoder.weight", "decoder.weight"} <= found.graph.reachable
    assert found.summary().inputs.endswith("(derived from Linear stem, through its training_step)")


def test_it_is_the_users_class_for_everything_else(tmp_path: Path) -> None:
    found = examined(tmp_path, "self.encoder = nn.Linear(784, 3)\nself.decoder = nn.Linear(3, 784)", AUTOENCODER)
    owner = type(found.built.model)
    assert (owner.__name__, owner.__qualname__, found.built.modules[""].class_name) == ("Net", "Net", "Net")


def test_findings_are_made_of_it(tmp_path: Path) -> None:
    step = """
        def shared_step(self, batch):
            x, y = batch
            logits = self.net(x)
            return self.criterion(logits, y)

        def training_step(self, batch, batch_idx):
            loss = self.shared_step(batch)
            self.log_dict({"loss": loss})
            return {"loss": loss, "log": {}}
    """
    found = result(tmp_path, f"self.net = {DEEP}\nself.criterion = nn.CrossEntropyLoss()", step, "GL101", "GL003")
    assert told(found.findings) == {"GL101"}
    assert found.summary is not None
    assert "through its shared_step" in found.summary.inputs or "through its training_step" in found.summary.inputs


def test_several_losses_and_targets_that_do_not_fit(tmp_path: Path) -> None:
    step = """
        def training_step(self, batch, batch_idx):
            x, labels = batch["x"], batch["label"]
            features = self.stem(x)
            first = F.cross_entropy(self.head(features), labels)
            second = nn.BCEWithLogitsLoss()(self.side(features).squeeze(-1), labels.float())
            return first + 0.1 * second
    """
    parts = "self.stem = nn.Linear(12, 8)\nself.head = nn.Linear(8, 5)\nself.side = nn.Linear(8, 1)"
    found = examined(tmp_path, parts, step)
    assert found.fed is not None
    assert found.fed.through == "its training_step"
    assert found.graph.view.nodes[found.graph.view.outputs[0]].shape == (8, 5)
    assert {"head.weight", "side.weight", "stem.weight"} <= found.graph.reachable


def test_a_loss_by_hand_and_steps_by_hand(tmp_path: Path) -> None:
    step = """
        def training_step(self, batch, batch_idx):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            loss = (self.net(batch) ** 2).mean()
            self.manual_backward(loss)
            optimizer.step()
            return loss
    """
    found = examined(tmp_path, "self.net = nn.Linear(16, 4)", step)
    assert found.fed is not None
    assert found.fed.through == "its training_step"
    assert "net.weight" in found.graph.reachable


@pytest.mark.parametrize("base", ["nn.Module", "pl.LightningModule"])
def test_an_autoencoder_goes_there_and_back(tmp_path: Path, base: str) -> None:
    methods = """
        def encode(self, x):
            return torch.relu(self.down(x)), 0

        def decode(self, z):
            return self.up(z)
    """
    parts = "self.down = nn.Conv2d(3, 16, 4, 2, 1)\nself.up = nn.ConvTranspose2d(16, 3, 4, 2, 1)"
    found = result(tmp_path, parts, methods, "GL503", "GL003", base=base)
    (finding,) = found.findings
    assert finding.message == "it has no forward of its own: what was analysed is its encode and decode"
    assert found.summary is not None
    assert found.summary.parameters == 1555


def test_parts_that_a_method_leaves_out_are_not_called_untrained(tmp_path: Path) -> None:
    methods = """
        def encode(self, token_ids):
            return self.project(self.table(token_ids))
    """
    parts = "self.table = nn.Embedding(100, 32)\nself.project = nn.Linear(32, 8)\nself.head = nn.Linear(8, 2)"
    found = result(tmp_path, parts, methods, "GL503", "GL003", base="nn.Module")
    assert told(found.findings) == {"GL003"}
    assert found.summary is not None
    assert found.summary.inputs == "(8, 32) int64 (derived from Embedding stem, through its encode)"


def test_parts_that_a_training_step_leaves_out_are(tmp_path: Path) -> None:
    parts = "self.encoder = nn.Linear(784, 3)\nself.decoder = nn.Linear(3, 784)\nself.spare = nn.Linear(3, 3)"
    (finding,) = result(tmp_path, parts, AUTOENCODER, "GL503").findings
    assert finding.module == "spare"


def test_the_largest_part_where_nothing_else_runs(tmp_path: Path) -> None:
    step = """
        def training_step(self, batch, batch_idx):
            return self.inner(self.trainer.datamodule.prepare(batch))
    """
    parts = "self.small = nn.Linear(2, 2)\nself.inner = Inner()"
    found = result(tmp_path, parts, step, "GL503", "GL003")
    assert [finding.message for finding in found.findings] == [
        "it has no forward of its own: what was analysed is its part inner"
    ]
    assert found.summary is not None
    assert found.summary.inputs == "(8, 16) float32 (derived from Linear stem, through its part inner)"


def test_where_there_is_nothing_to_run(tmp_path: Path) -> None:
    step = """
        def training_step(self, batch, batch_idx):
            return self.table[batch]
    """
    found = result(tmp_path, "self.table = nn.Parameter(torch.zeros(3))", step, "GL001")
    assert found.summary is None
    (finding,) = found.findings
    assert "Net has no forward of its own: what it computes from what cannot be seen" in finding.message


def test_a_class_without_layers_to_call_is_no_model(tmp_path: Path) -> None:
    path, source = written(tmp_path, "self.n = 3", "def encode(self, x):\n    return x", "nn.Module")
    assert [target.name for target in find_targets(scan_file(path, source))] == ["Inner"]


def test_a_live_model_is_left_alone(tmp_path: Path) -> None:
    from gradlint import check_model

    class Live(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = torch.nn.Linear(3, 3)

        def encode(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(x)

    model = Live()
    report = check_model(model, torch.ones(2, 3))
    assert type(model) is Live
    assert len(report.unanalysed) == 1


def test_a_module_with_nothing_to_train_that_does_not_run_is_no_failure(tmp_path: Path) -> None:
    methods = """
    def forward(self, t, y):
        return torch.mm(y ** 3, self.a)
"""
    found = result(tmp_path, "self.a = torch.eye(2)", methods, "GL001", base="nn.Module")
    assert found.findings == () and found.summary is None
    (note,) = found.skipped
    assert not note.is_model and note.reason == "it has no parameters to train"


def test_parameters_that_no_called_module_holds_are_known_too(tmp_path: Path) -> None:
    """Layers in a plain list, whose parameters are registered beside it."""
    parts = """
    self.layers = [nn.Linear(16, 16), nn.Linear(16, 4)]
    self.own = nn.ParameterList(p for f in self.layers for p in f.parameters())
"""
    methods = """
    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x
"""
    done = examined(tmp_path, parts, methods, base="nn.Module")
    assert done.summary().gap == "" and done.flow.parameter_flows["own.0"].gradient_rms
