"""The benchmark of the gate: bounds are kept or broken as its figures say, and it runs."""

import os
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import gate  # noqa: E402


def test_a_bound_is_kept_or_broken() -> None:
    pairs = [(3.0, 1.0), (2.0, 1.0), (9.0, 1.0)]
    kept = gate.ratio("cold", pairs, bound=3.0)
    assert (kept.value, kept.is_kept) == (3.0, True)
    assert kept.row == ("cold", "3.00 s", "1.00 s", "3.00 ×", "≤ 3 ×", "kept")
    assert not gate.ratio("cold", pairs, bound=2.9).is_kept
    assert gate.ratio("jobs", pairs, bound=3.0, at_least=True).is_kept
    broken = gate.ratio("jobs", pairs, bound=3.1, at_least=True)
    assert (broken.is_kept, broken.row[-2:]) == (False, ("≥ 3.1 ×", "BROKEN"))


def test_the_docs_name_every_figure() -> None:
    page = gate.__doc__ or ""
    assert all(f"| `{name}` |" in page for name in (*gate.MEASURED, "workers"))


def test_it_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "gate.py"), "--only", "plain", "--plain", "30", "--repeats", "1"]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    rows = [line.split("|") for line in done.stdout.splitlines() if line.startswith("|")][2:]
    assert [row[1].strip() for row in rows] == ["plain", "workers"], done.stderr
    assert rows[1][6].strip() == "kept"
    assert done.returncode == (1 if rows[0][6].strip() == "BROKEN" else 0)
    assert list(tmp_path.iterdir()) == []
