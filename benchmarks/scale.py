"""How large a model gradlint can look at: CPU time and memory of `gradlint check` on files that hold very large models.

    python benchmarks/scale.py [--only WORD …] [--runs N] [--write]

Models of transformers from their configurations (random weights, nothing downloaded, nothing allocated): 70 billion
parameters, mixtures of experts of 47 billion and of a trillion; and an MLP of a thousand layers. CPU time and memory
are those of all processes (memory sampled every 20 ms), and count from what a process takes that only imports what the
file imports. Of several runs the least counts: what else runs on a machine only adds. Exit status 1 where a bound is
broken.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common import ROOT, Usage, gradlint_command, is_wanted, run, save, table, write_between
from zoo_files import SHIM, SHIM_TEXT

DOCUMENT = ROOT / "docs" / "reach.md"
MARKS = ("<!-- scale -->", "<!-- /scale -->")
HEADER = (
    "model", "parameters", "nodes", "inputs", "findings", "imports", "CPU s on top", "at most", "imports",
    "memory on top", "at most", "",
)  # fmt: skip

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

MIXTRAL_8X7B = """
import _torchvision_operators
from torch import nn
from transformers import MixtralConfig, MixtralForCausalLM


def mixtral_8x7b() -> nn.Module:
    return MixtralForCausalLM(MixtralConfig())
"""

TRILLION = """
import _torchvision_operators
from torch import nn
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM


def trillion() -> nn.Module:
    config = DeepseekV3Config(
        vocab_size=163840,
        hidden_size=7168,
        intermediate_size=18432,
        moe_intermediate_size=2048,
        num_hidden_layers=61,
        num_attention_heads=64,
        num_key_value_heads=64,
        n_routed_experts=384,
        n_group=1,
        topk_group=1,
        first_k_dense_replace=1,
    )
    return DeepseekV3ForCausalLM(config)
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
    """CPU seconds, all processes, on top of imports."""
    memory: float
    """Bytes, all processes, on top of imports."""

    @property
    def imports(self) -> str:
        """The file's first paragraph."""
        return self.source.lstrip().partition("\n\n")[0]


CASES = (
    Case("Llama-3-70B", LLAMA_3_70B, 70_553_706_496, 10.0, 300e6),
    Case("Mixtral 8x7B", MIXTRAL_8X7B, 46_702_792_704, 10.0, 300e6),
    Case("Mixture of a trillion", TRILLION, 1_026_408_209_408, 20.0, 600e6),
    Case("MLP of 1,000 layers", MLP_1000, 16_769_290, 15.0, 600e6),
)


def main() -> int:
    """Run the benchmark; the exit status."""
    options = _options()
    rows, raw, broken = [], {}, 0
    for case in CASES:
        if not is_wanted(case.name, options.only):
            continue
        with tempfile.TemporaryDirectory() as folder:
            usage, imports = check(case, Path(folder), options.runs)
        report = json.loads(usage.stdout) if usage.stdout.startswith("{") else {"models": [], "findings": []}
        faults = _faults(case, usage, imports, report)
        broken += bool(faults)
        rows.append(_row(case, usage, imports, report, faults))
        raw[case.name] = {"cpu": usage.cpu, "peak": usage.peak, "wall": usage.wall, "report": report}
        raw[case.name]["imports"] = {"cpu": imports.cpu, "peak": imports.peak}
        for finding in report["findings"]:
            print(f"{case.name}: {finding['severity']}[{finding['code']}] {finding['message']}")
        if usage.stderr:
            print(usage.stderr, file=sys.stderr)
    text = table(HEADER, rows)
    print(text)
    save("scale", raw)
    if options.write:
        write_between(DOCUMENT, MARKS, text + "\n")
    return 1 if broken else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=[], help="models whose name holds a word")
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="runs of each, of which the cheapest counts")
    parser.add_argument("--write", action="store_true", help=f"put the table into {DOCUMENT.relative_to(ROOT)}")
    return parser.parse_args()


def check(case: Case, folder: Path, runs: int) -> tuple[Usage, Usage]:
    """`gradlint check` on the case's file, and a process that only imports what it does: of `runs` the cheapest."""
    (folder / SHIM).write_text(SHIM_TEXT, encoding="utf-8")
    file = folder / "large.py"
    file.write_text(case.source.lstrip(), encoding="utf-8")
    options = ("--isolated", "--no-cache", "--output-format", "json", "--timeout", "300")
    command = gradlint_command("check", "large.py", *options)
    alone = [sys.executable, "-c", case.imports]
    return _cheapest(command, folder, runs), _cheapest(alone, folder, runs)


def _cheapest(command: list[str], folder: Path, runs: int) -> Usage:
    return min((run(command, cwd=folder, watch=True) for _ in range(runs)), key=lambda usage: usage.cpu)


def _faults(case: Case, usage: Usage, imports: Usage, report: dict[str, list[dict[str, object]]]) -> list[str]:
    found = [] if usage.status in (0, 1) else [f"exit status {usage.status}"]
    sizes = [model["parameters"] for model in report["models"]]
    found += [] if sizes == [case.parameters] else [f"parameters {sizes}"]
    found += [] if usage.cpu - imports.cpu < case.seconds else ["too slow"]
    found += [] if usage.peak - imports.peak < case.memory else ["too much memory"]
    return found


def _row(
    case: Case, usage: Usage, imports: Usage, report: dict[str, list[dict[str, object]]], faults: list[str]
) -> list[str]:
    model = report["models"][0] if report["models"] else {}
    return [
        case.name,
        f"{case.parameters:,}",
        str(model.get("nodes", "-")),
        str(model.get("inputs", "-")),
        ", ".join(str(finding["code"]) for finding in report["findings"]) or "none",
        f"{imports.cpu:.1f}",
        f"{usage.cpu - imports.cpu:.1f}",
        f"{case.seconds:.0f}",
        f"{imports.peak / 1e6:.0f} MB",
        f"{(usage.peak - imports.peak) / 1e6:.0f} MB",
        f"{case.memory / 1e6:.0f} MB",
        ", ".join(faults) or "within bounds",
    ]


if __name__ == "__main__":
    sys.exit(main())
