"""What a check of a small file costs, against a plain script that runs the model once.

    python benchmarks/speed.py [--pairs 9]

CPU time, user and system, of all processes: `gradlint check small.py` against a script that imports torch, imports the
file, builds the model and runs one forward and one backward pass. Run in turn, so that both meet the same machine;
printed are the ratio of each pair and their median. Exit status 1 where the median is above the bound.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from common import Usage, gradlint_command, run, save, table

BOUND = 1.25
HEADER = ("pair", "plain script, CPU s", "gradlint check, CPU s", "ratio")

SMALL = """
import torch
from torch import nn


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(nn.Linear(32 * 8 * 8, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x):
        return self.head(torch.flatten(self.features(x), 1))
"""

# The loss is a scalar: backward with a gradient of one's own would import sympy, and make the plain script look slow.
PLAIN = """
import torch

from small import Small

model = Small()
loss = model(torch.randn(8, 3, 32, 32)).square().mean()
loss.backward()
"""


def main() -> int:
    """Run the benchmark; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=9, help="how often both are run (default 9)")
    pairs = max(parser.parse_args().pairs, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_both(folder)
        both(folder)  # compiled bytecode and the file cache, for both alike
        measured = [both(folder) for _ in range(pairs)]
    ratios = [checked.cpu / plain.cpu for plain, checked in measured]
    rows = [
        (str(i), f"{plain.cpu:.2f}", f"{checked.cpu:.2f}", f"{ratio:.2f}")
        for i, ((plain, checked), ratio) in enumerate(zip(measured, ratios, strict=True), start=1)
    ]
    median = statistics.median(ratios)
    plain_cpu, checked_cpu = (statistics.median(usage.cpu for usage in side) for side in zip(*measured, strict=True))
    rows.append(("median", f"{plain_cpu:.2f}", f"{checked_cpu:.2f}", f"{median:.2f}"))
    print(table(HEADER, rows))
    print(f"\nmedian ratio {median:.2f}, at most {BOUND}: {'within bounds' if median <= BOUND else 'TOO SLOW'}")
    save("speed", {"ratios": ratios, "median": median, "plain": plain_cpu, "checked": checked_cpu})
    return 0 if median <= BOUND else 1


def write_both(folder: Path) -> None:
    """The file that is checked, and the script that runs its model."""
    (folder / "small.py").write_text(SMALL.lstrip(), encoding="utf-8")
    (folder / "plain.py").write_text(PLAIN.lstrip(), encoding="utf-8")


def both(folder: Path) -> tuple[Usage, Usage]:
    """The plain script, then the check."""
    plain = run([sys.executable, "plain.py"], cwd=folder)
    checked = run(gradlint_command("check", "small.py", "--isolated"), cwd=folder)
    if plain.status or checked.status not in (0, 1):
        raise SystemExit(f"{plain.stderr}{checked.stdout}{checked.stderr}")
    return plain, checked


if __name__ == "__main__":
    sys.exit(main())
