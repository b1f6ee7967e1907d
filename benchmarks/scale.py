"""How large a model gradlint can look at: CPU time and memory of `gradlint check` on files that hold very large models.

    python benchmarks/scale.py

Llama-3-70B from its configuration (random weights, nothing downloaded, nothing allocated), and an MLP of a thousand
layers. Memory is the sum over both processes, sampled every 20 ms. Exit status 1 where a bound is broken.
"""

import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import Usage, gradlint_command, run, save, table
from zoo_files import SHIM, SHIM_TEXT

HEADER = ("model", "parameters", "nodes", "inputs", "findings", "CPU s", "at most", "memory", "at most", "wall s", "")

LLAMA_3_70B = """
import _torchvision_operators
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM


def llama_3_70b() -> nn.Module:
    config = LlamaConfig(
        vocab_size=128256,
        hidden_size=8192,
        intermediate_size=28672,
        num_hidden_layers=80,
        num_attention_heads=64,
        num_key_value_heads=8,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_theta=500000.0,
    )
    return LlamaForCausalLM(config)
"""

MLP_1000 = """
from torch import nn


class Deep(nn.Module):
    def __init__(self, depth=1000, width=128):
        super().__init__()
        layers = []
        for _ in range(depth):
            layers += [nn.Linear(width, width), nn.LayerNorm(width), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        return self.head(self.layers(x))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One file, and what checking it may cost."""

    name: str
    source: str
    parameters: int
    seconds: float
    """CPU seconds, both processes, imports included."""
    memory: float
    """Bytes, both processes."""


CASES = (
    Case("Llama-3-70B", LLAMA_3_70B, 70_553_706_496, 60.0, 1.5e9),
    Case("MLP of 1,000 layers", MLP_1000, 16_769_290, 60.0, 2.0e9),
)


def main() -> int:
    """Run the benchmark; the exit status."""
    rows, raw, broken = [], {}, 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            usage = check(case, Path(folder))
        report = json.loads(usage.stdout) if usage.stdout.startswith("{") else {"models": [], "findings": []}
        faults = _faults(case, usage, report)
        broken += bool(faults)
        rows.append(_row(case, usage, report, faults))
        raw[case.name] = {"cpu": usage.cpu, "peak": usage.peak, "wall": usage.wall, "report": report}
        for finding in report["findings"]:
            print(f"{case.name}: {finding['severity']}[{finding['code']}] {finding['message']}")
        if usage.stderr:
            print(usage.stderr, file=sys.stderr)
    print(table(HEADER, rows))
    save("scale", raw)
    return 1 if broken else 0


def check(case: Case, folder: Path) -> Usage:
    """`gradlint check` on the case's file."""
    (folder / SHIM).write_text(SHIM_TEXT, encoding="utf-8")
    file = folder / "large.py"
    file.write_text(case.source.lstrip(), encoding="utf-8")
    command = gradlint_command("check", "large.py", "--isolated", "--output-format", "json", "--timeout", "300")
    return run(command, cwd=folder, watch=True)


def _faults(case: Case, usage: Usage, report: dict[str, list[dict[str, object]]]) -> list[str]:
    found = [] if usage.status in (0, 1) else [f"exit status {usage.status}"]
    sizes = [model["parameters"] for model in report["models"]]
    found += [] if sizes == [case.parameters] else [f"parameters {sizes}"]
    found += [] if usage.cpu < case.seconds else ["too slow"]
    found += [] if usage.peak < case.memory else ["too much memory"]
    return found


def _row(case: Case, usage: Usage, report: dict[str, list[dict[str, object]]], faults: list[str]) -> list[str]:
    model = report["models"][0] if report["models"] else {}
    return [
        case.name,
        f"{case.parameters:,}",
        str(model.get("nodes", "-")),
        str(model.get("inputs", "-")),
        ", ".join(str(finding["code"]) for finding in report["findings"]) or "none",
        f"{usage.cpu:.1f}",
        f"{case.seconds:.0f}",
        f"{usage.peak / 1e9:.2f} GB",
        f"{case.memory / 1e9:.1f} GB",
        f"{usage.wall:.1f}",
        ", ".join(faults) or "within bounds",
    ]


if __name__ == "__main__":
    sys.exit(main())
